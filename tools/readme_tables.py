"""Write the tables of README.md and results/README.md from result lines; --check only says if they are current.

The table of results/<dataset>/mfnet.jsonl stands in README.md between `<!-- results: DATASET -->` and `<!-- end -->`,
that of the trials in results/tuning/<dataset>.jsonl in results/README.md, between `<!-- tuning: DATASET -->` and it,
and there those of results/sweep and results/benchmark, between `<!-- sweep -->` or `<!-- benchmark -->` and it.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, stdev

from lixlib.files import read_json_lines, write_atomically
from lixlib.results import METRICS, gap_closed, read

ROOT = Path(__file__).resolve().parent.parent
NETWORK = "mfnet"
METHODS = ("teacher", "student", "kd", "dkd", "dwld", "arfd", "lix")
LABELS = {"teacher": "teacher (RGB + X)", "student": "student (RGB)", "lix": "**lix** (RGB)"}
GROUP = ("split", "size", "epochs", "updates", "batch")


def table(lines: list[dict]) -> str:
    """The result lines of one data set and network as a Markdown table, with a line below that says how they came.

    A row is a method and its options: mean ± standard deviation over the seeds, in %. The gain in mIoU is paired by
    seed. Only the largest group of lines that share split, size and schedule is shown; teachers have their own.
    """
    group = _largest_group([line for line in lines if line["method"] != "teacher"])
    teachers = _largest_group([line for line in lines if line["method"] == "teacher"])
    rows: dict[tuple[str, str], dict[int, dict]] = {}
    for line in sorted(teachers + group, key=lambda line: METHODS.index(line["method"])):
        seeds = rows.setdefault((line["method"], json.dumps(line["hyper"], sort_keys=True)), {})
        seeds[line["seed"]] = line
    teacher, student = (next((seeds for (m, _), seeds in rows.items() if m == n), {}) for n in ("teacher", "student"))
    header = ["", *METRICS, "seeds", "gain in mIoU, points", "gap closed"]
    text = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    for (method, hyper), seeds in rows.items():
        cells = [_spread([100 * line["metrics"][metric] for line in seeds.values()]) for metric in METRICS]
        gain = closed = ""
        if method not in ("teacher", "student"):
            gain, closed = _compare(teacher, student, seeds)
        text.append("| " + " | ".join([_label(method, hyper, rows), *cells, str(len(seeds)), gain, closed]) + " |")
    return "\n".join([*text, "", _note(group or teachers)])


def update(readme: str, results: Path) -> str:
    """The README with every table that there are results for.

    Raises:
        ValueError: results without markers, or markers without results.
    """
    datasets = sorted(path.parent.name for path in results.glob(f"*/{NETWORK}.jsonl"))
    marked = sorted(re.findall(r"<!-- results: (\S+) -->", readme))
    if marked != datasets:
        raise ValueError(
            f"README.md has places for tables of {', '.join(marked) or 'no data set'}, and there are results of "
            f"{', '.join(datasets) or 'none'}: write `<!-- results: DATASET -->` and `<!-- end -->` once for each"
        )
    for dataset in datasets:
        start, end = f"<!-- results: {dataset} -->", "<!-- end -->"
        before, _, rest = readme.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"README.md has no `{end}` after `{start}`")
        readme = f"{before}{start}\n{table(read(results, dataset, NETWORK))}\n{end}{after}"
    return readme


def tuning_table(lines: list[dict]) -> str:
    """Trial runs on validation images, one row each: what was tried, and the two IoUs in %."""
    rows = []
    for line in lines:
        recipe = line["recipe"]
        options = ", ".join(f"{key} {json.dumps(value)}" for key, value in recipe["hyper"].items()).replace('"', "")
        data = recipe.get("data", {})
        frames = f"{data.get('count', '')} + {recipe.get('unlabelled') or 0}" if "count" in data else "all"
        if line.get("mixing"):
            frames += f" ({line['mixing']})"
        cells = [frames, str(data.get("difficulty", "")), "x".join(map(str, line["size"])), str(line["updates"])]
        cells += [str(recipe["lr"]), f"{line.get('augmentation', {}).get('jitter', '')}", line["method"], options]
        cells += [f"{100 * line['metrics'][metric]:.2f}" for metric in ("mIoU", "fwIoU")]
        rows.append((frames, *cells[1:]))
    rows.sort(key=lambda cells: (cells[1], cells[2], cells[4], cells[5], METHODS.index(cells[6])))
    header = ["labelled + unlabelled", "difficulty", "size", "updates", "lr", "jitter", "method", "options"]
    header += ["mIoU", "fwIoU"]
    text = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*text, *("| " + " | ".join(cells) + " |" for cells in rows)])


def update_tuning(text: str, results: Path) -> str:
    """results/README.md with the table of every file of trials.

    Raises:
        ValueError: trials without a place for their table.
    """
    for path in sorted((results / "tuning").glob("*.jsonl")):
        start, end = f"<!-- tuning: {path.stem} -->", "<!-- end -->"
        before, found, rest = text.partition(start)
        if not found:
            raise ValueError(f"results/README.md has no `{start}` ... `{end}` for the trials in {path.name}")
        text = f"{before}{start}\n{tuning_table(read_json_lines(path))}\n{end}{rest.partition(end)[2]}"
    return text


def sweep_table(lines: list[dict], shares: dict[str, dict]) -> str:
    """The loss weights that were tried, one row a method: mIoU in %, the best in bold."""
    text = ["| method | weight it comes with | gradient over CE's | mIoU in %, by weight |", "|---|---|---:|---|"]
    for method, came in shares.items():
        runs = [line for line in lines if line["method"] == method]
        best = max(runs, key=_miou)
        tried = []
        for line in sorted(runs, key=lambda line: [line["hyper"][name] for name in came["weights"]]):
            score = f"{100 * _miou(line):.2f}"
            weights = " and ".join(f"{line['hyper'][name]:g}" for name in came["weights"])
            tried.append(f"{weights}: {f'**{score}**' if line is best else score}")
        start = ", ".join(f"{name} {value:g}" for name, value in came["weights"].items())
        text.append(f"| {method} | {start} | {came['gradient']:g} | {'; '.join(tried)} |")
    return "\n".join(text)


def benchmark_table(lines: list[dict]) -> str:
    """Time and peak memory of every loss, and how much of its plain transcription's that is."""
    text = ["| loss | shape | ms | of the plain one's | MiB | of the plain one's |", "|---|---|---:|---:|---:|---:|"]
    for line in lines:
        shape = " x ".join(map(str, line["shape"]))
        cells = [f"{line['ms']:.1f}", f"{line['time_ratio']:.2f}", f"{line['mib']:.1f}", f"{line['memory_ratio']:.2f}"]
        text.append(f"| {line['loss']} | {shape} | {' | '.join(cells)} |")
    return "\n".join(text)


def update_measured(text: str, results: Path) -> str:
    """results/README.md with the tables of the loss weights and of what the losses cost.

    Raises:
        ValueError: no place for a table.
    """
    shares = json.loads((results / "sweep" / "shares.json").read_text(encoding="utf-8"))
    tables = {
        "<!-- sweep -->": sweep_table(read(results / "sweep", "toydrive", NETWORK), shares),
        "<!-- benchmark -->": benchmark_table(read_json_lines(results / "benchmark" / "losses.jsonl")),
    }
    for start, table in tables.items():
        before, found, rest = text.partition(start)
        if not found:
            raise ValueError(f"results/README.md has no `{start}` ... `<!-- end -->` for its table")
        text = f"{before}{start}\n{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return text


def _largest_group(lines: list[dict]) -> list[dict]:
    def key(line: dict) -> str:
        return json.dumps([line[name] for name in GROUP])

    largest = Counter(map(key, lines)).most_common(1)
    return [line for line in lines if key(line) == largest[0][0]] if largest else []


def _spread(values: list[float], sign: str = "") -> str:
    middle = f"{mean(values):{sign}.2f}"
    return f"{middle} ± {stdev(values):.2f}" if len(values) > 1 else middle


def _compare(teacher: dict[int, dict], student: dict[int, dict], distilled: dict[int, dict]) -> tuple[str, str]:
    """The gain over the student of the same seed, and the share of the gap closed, over the seeds that all have."""
    paired = [seed for seed in distilled if seed in student]
    if not paired:
        return "", ""
    gain = _spread([100 * (_miou(distilled[seed]) - _miou(student[seed])) for seed in paired], "+")
    common = [seed for seed in paired if seed in teacher]
    if not common:
        return gain, ""
    share = gap_closed(*(mean(_miou(runs[seed]) for seed in common) for runs in (teacher, student, distilled)))
    return gain, "no gap" if share is None else f"{100 * share:.0f} %"


def _miou(line: dict) -> float:
    return line["metrics"]["mIoU"]


def _label(method: str, hyper: str, rows: dict) -> str:
    """The method, and, where it has several rows, the options in which they differ."""
    options = json.loads(hyper)
    others = [json.loads(other) for name, other in rows if name == method and other != hyper]
    differing = [
        f"{name} = {options[name]}" for name in options if any(other.get(name) != options[name] for other in others)
    ]
    label = LABELS.get(method, f"{method} (RGB)")
    return f"{label}, {', '.join(differing)}" if differing else label


def _note(lines: list[dict]) -> str:
    (first, *_) = lines
    devices = " and ".join(sorted({line["device"] for line in lines}))
    reduced = ", a schedule shorter than the recommended one (`reduced`)" if first["reduced"] else ""
    return (
        f"Split {first['split']}, {first['size'][0]} x {first['size'][1]}, {first['epochs']} epochs, "
        f"{first['updates']} updates of {first['batch']} images{reduced}; {devices}. "
        "In %, mean ± standard deviation over the seeds; the gain is paired by seed."
    )


def main() -> None:
    inner = ROOT / "results" / "README.md"
    for path, rewrite in ((ROOT / "README.md", update), (inner, update_tuning), (inner, update_measured)):
        old = path.read_text(encoding="utf-8")
        try:
            new = rewrite(old, ROOT / "results")
        except ValueError as error:
            sys.exit(str(error))
        if "--check" in sys.argv[1:]:
            if new != old:
                sys.exit(f"{path.name} is older than the results: run `python tools/readme_tables.py`")
        elif new != old:
            write_atomically(path, lambda temporary, text=new: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
