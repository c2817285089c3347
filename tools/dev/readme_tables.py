"""Write the tables of README.md, docs and results; --check only says if they are current.

README.md has the main table of the protocol in short after `<!-- summary -->` and what we recommend after
`<!-- recommendation -->`; docs/results.md has the whole table after `<!-- main -->`. results/history/README.md has the
table of results/history/<dataset>/mfnet.jsonl after `<!-- results: DATASET -->`, which shows one schedule, that of the
most methods or what the mark names (`<!-- results: DATASET, 100 epochs -->`), and those of its trials, of the sweep and
of other networks after `<!-- tuning: DATASET -->`, `<!-- sweep -->` and `<!-- networks: DATASET -->`. results/README.md
has those of results/benchmark, results/cost/paper_size.jsonl, results/experiments and results/choices after
`<!-- benchmark -->`, `<!-- paper size -->`, `<!-- experiments -->` and `<!-- choices -->`. docs/gpu.md has its tables
after `<!-- gpu -->`, docs/growth.md after `<!-- growth -->`, docs/speed.md after `<!-- speed -->` and
`<!-- profile -->`, docs/lix_ours.md the choices of LIX, ours, and its logit half after `<!-- tries -->`, and
docs/predict.md the weights that come with the library after `<!-- weights -->`. Each ends at `<!-- end -->`.
"""

import json
import re
import sys
from pathlib import Path
from statistics import mean, stdev

from lixlib.core.files import read_json_lines, write_atomically
from lixlib.distillers import METHODS
from lixlib.lab import experiments
from lixlib.lab.results import FAMILIES, METRICS, NAMES, Runs, by_method, gains, read, shares, title
from tools.benchmarks.gpu import page as gpu_page
from tools.benchmarks.growth import page as growth_page
from tools.benchmarks.profile_step import OTHERS
from tools.benchmarks.ratios import GOALS
from tools.dev import choices_page, main_page, weights_page
from tools.dev.marks import between

ROOT = Path(__file__).resolve().parents[2]
NETWORK = "mfnet"
NETWORKS = {"sne-roadseg": "SNE-RoadSeg", "mfnet": "MFNet", "off-net": "OFF-Net"}  # as the paper writes them
DONE = {"teacher": "forward pass of the teacher", "student": "forward pass of the student", "lix": "update of LIX"}
LABELS = {"teacher": "teacher (RGB + X)", "student": "student (RGB)"}
DISTILS = {"logit": "logits", "feature": "features", "both": "both"}
TITLES = {"toydrive": "ToyDrive", "camvid": "CamVid", "potholes": "Potholes"}
TITLED = [method.title for method in METHODS.values()]  # a variant of this name has it by the form that was run
MARK = re.compile(r"<!-- results: (\w+)(?:, (\d+) epochs)? -->")


def table(lines: list[dict], epochs: int | None = None) -> str:
    """The result lines of one data set and network as a Markdown table, with a line below that says how they came.

    A row is a method: mean ± standard deviation over the seeds, in %. The gain in mIoU and the share of the gap closed
    are paired by seed.

    Raises:
        ValueError: no student with that schedule.
    """
    runs = by_method(lines, epochs)
    if not runs:
        raise ValueError(f"no student of {epochs} epochs: correct the mark, or train one")
    header = ["distils", "", *METRICS, "seeds", "gain in mIoU, points", "gap closed"]
    text = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * (len(header) - 2)]
    family_of = {method: DISTILS.get(family, "") for family, methods in FAMILIES.items() for method in methods}
    for method, seeds in runs.items():
        cells = [_spread([100 * line["metrics"][metric] for line in seeds.values()]) for metric in METRICS]
        gain = closed = ""
        if method not in ("teacher", "student"):
            gain, closed = _compare(runs, method)
        (first, *_) = seeds.values()
        name = LABELS.get(method, title(first))
        name = f"**{name}**" if method == "lix" else name
        text.append(f"| {' | '.join([family_of.get(method, ''), name, *cells, str(len(seeds)), gain, closed])} |")
    students = [line for method, seeds in runs.items() if method != "teacher" for line in seeds.values()]
    return "\n".join([*text, "", _note(students, list(runs.get("teacher", {}).values()))])


def update_history(page: str, history: Path) -> str:
    """results/history/README.md with the table of every data set, of its trials, of the sweep and of other networks.

    Raises:
        ValueError: results without markers, or markers without results.
    """
    datasets = sorted(path.parent.name for path in history.glob(f"*/{NETWORK}.jsonl"))
    marks = MARK.findall(page)
    marked = sorted({dataset for dataset, _ in marks})
    if marked != datasets:
        raise ValueError(
            f"the page has places for tables of {', '.join(marked) or 'no data set'}, and there are results of "
            f"{', '.join(datasets) or 'none'}: write `<!-- results: DATASET -->` and `<!-- end -->` for each"
        )
    for dataset, epochs in marks:
        start = f"<!-- results: {dataset}{f', {epochs} epochs' if epochs else ''} -->"
        text = table(read(history, dataset, NETWORK), int(epochs) if epochs else None)
        page = between(page, start, text)
    for path in sorted((history / "tuning").glob("*.jsonl")):
        page = between(page, f"<!-- tuning: {path.stem} -->", tuning_table(read_json_lines(path)))
    if (history / "sweep").exists():
        shares = json.loads((history / "sweep" / "shares.json").read_text(encoding="utf-8"))
        page = between(page, "<!-- sweep -->", sweep_table(read(history / "sweep", "toydrive", NETWORK), shares))
        page = between(page, "<!-- networks: toydrive -->", network_tables(history, "toydrive"))
    return page


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
    order = {method: place for place, method in enumerate(NAMES)}
    rows.sort(key=lambda cells: (cells[1], cells[2], cells[4], cells[5], order.get(cells[6], len(order))))
    header = ["labelled + unlabelled", "difficulty", "size", "updates", "lr", "jitter", "method", "options"]
    header += ["mIoU", "fwIoU"]
    text = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*text, *("| " + " | ".join(cells) + " |" for cells in rows)])


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


def speed_table(lines: list[dict]) -> str:
    """Every ratio of `make bench` on one thread and on two, and what it is to be at most; a table per processor."""
    if not lines:
        return "Nobody has measured it yet: `make bench WRITE=1`."
    tables = []
    for processor in dict.fromkeys(map(_processor, lines)):
        text = ["| what | ratio | one thread | two | at most |", "|---|---|---:|---:|---:|"]
        mine = [line for line in lines if _processor(line) == processor]
        for what, over in dict.fromkeys((line["what"], line["over"]) for line in mine):
            by_threads = {line["threads"]: line for line in mine if (line["what"], line["over"]) == (what, over)}
            cells = [f"{by_threads[n]['ratio']:.2f}" if n in by_threads else "" for n in (1, 2)]
            text.append(f"| {what} | {over} | {' | '.join(cells)} | {GOALS.get((what, over), '')} |")
        tables.append("\n".join([*text, "", f"{processor}."]))
    return "\n\n".join(tables)


def _processor(line: dict) -> str:
    return f"{line['device'].rpartition(', ')[0]}, {line['instructions']}"


def profile_tables(lines: list[dict]) -> str:
    """A table for each method: milliseconds and calls a step of each operation, in its first line and in its last."""
    tables = []
    for method in dict.fromkeys(line["method"] for line in lines):
        mine = [line for line in lines if line["method"] == method]
        first, last = mine[0]["operations"], mine[-1]["operations"]
        names = sorted({*first, *last} - {OTHERS}, key=lambda name: -max(_ms(first, name), _ms(last, name)))
        commits = [line["commit"].removesuffix("-dirty") for line in (mine[0], mine[-1])]
        heads = [f"{what} at {commit}" for commit in commits for what in ("ms", "calls")]
        text = [f"| {NAMES[method]} | {' | '.join(heads)} |", "|---|" + "---:|" * 4]
        for name in [*names, OTHERS]:
            cells = [
                f"{ops[name][what]:.4g}" if name in ops else "" for ops in (first, last) for what in ("ms", "calls")
            ]
            text.append(f"| {name if name == OTHERS else f'`{name}`'} | {' | '.join(cells)} |")
        text.append(f"| **a step** | **{mine[0]['ms']:.4g}** | | **{mine[-1]['ms']:.4g}** | |")
        tables.append("\n".join([*text, "", f"{_processor(mine[-1])}, one thread."]))
    return "\n\n".join(tables) or "Nobody has measured it yet: `python -m tools.benchmarks.profile_step`."


def _ms(operations: dict, name: str) -> float:
    return operations.get(name, {"ms": 0.0})["ms"]


def update_speed(text: str, results: Path) -> str:
    """docs/speed.md with the ratios and the profile that are committed."""
    text = between(text, "<!-- speed -->", speed_table(_benchmark(results, "ratios")))
    return between(text, "<!-- profile -->", profile_tables(_benchmark(results, "profile")))


def paper_size_table(lines: list[dict]) -> str:
    """What each network takes at its paper's image size: peak memory of the process, and time."""
    text = ["| network | what | images | format | peak memory, GiB | seconds |", "|---|---|---:|---|---:|---:|"]
    networks, done = list(NETWORKS), list(DONE)

    def order(line: dict) -> tuple:
        case = networks.index(line["network"]), done.index(line["what"]), line["batch"], len(line["options"])
        return *case, line["precision"]

    for line in sorted(lines, key=order):
        options = [value if name == "encoder" else name for name, value in line["options"].items() if value]
        name = NETWORKS[line["network"]] + (f" ({', '.join(options)})" if options else "")
        cells = [f"{line['peak_rss_mib'] / 1024:.1f}", f"{line['seconds']:.1f}"] if line["fits"] else []
        cells = cells or [f"more than {line['limit_gib']:g}", ""]
        images = f"{line['batch']} x {line['size'][0]} x {line['size'][1]}"
        text.append(f"| {name} | {DONE[line['what']]} | {images} | {line['precision']} | {' | '.join(cells)} |")
    devices = " and ".join(sorted({line["device"] for line in lines}))
    return "\n".join([*text, "", f"{devices}."])


def network_tables(results: Path, dataset: str) -> str:
    """The tables of the networks other than `NETWORK`, each below its name."""
    paths = {path.stem: path for path in (results / dataset).glob("*.jsonl") if path.stem != NETWORK}
    return "\n\n".join(
        f"**{label}**\n\n{table(read_json_lines(paths[name]))}" for name, label in NETWORKS.items() if name in paths
    )


def experiments_table(folder: Path) -> str:
    """Every variant of every experiment of notebooks 11 to 14 that has a result line."""
    text = ["| experiment | variant | mIoU | seeds | gain over the student, points |", "|---|---|---:|---:|---:|"]
    student = {"student": experiments.read("baselines", folder)["student"]}
    lines = []
    for name in experiments.EXPERIMENTS:
        for variant, seeds in experiments.read(name, folder).items():
            if seeds:
                score = _spread([100 * _miou(line) for line in seeds.values()])
                gain = list(gains({**student, variant: seeds}, variant).values())
                cell = "" if variant.startswith(("student", "teacher")) else _spread(gain, "+")
                shown = title(next(iter(seeds.values()))) if variant in TITLED else variant
                text.append(f"| {name} | {shown} | {score} | {len(seeds)} | {cell} |")
                lines += seeds.values()
    teachers = experiments.read("baselines", folder)["teacher"].values()
    return "\n".join([*text, "", _note([line for line in lines if line["method"] != "teacher"], list(teachers))])


def update_measured(text: str, results: Path) -> str:
    """results/README.md with the tables of costs and of experiments.

    Raises:
        ValueError: no place for a table.
    """
    tables = {
        "<!-- benchmark -->": benchmark_table(read_json_lines(results / "benchmark" / "losses.jsonl")),
        "<!-- experiments -->": experiments_table(results / "experiments"),
    }
    if (results / "choices").exists():
        tables["<!-- choices -->"] = choices_page.table(_choices(results))
    paper_size = results / "cost" / "paper_size.jsonl"
    if paper_size.exists():
        tables["<!-- paper size -->"] = paper_size_table(read_json_lines(paper_size))
    for start, table in tables.items():
        text = between(text, start, table)
    return text


def update_gpu(text: str, results: Path) -> str:
    """docs/gpu.md with the table of every card that there is a line of."""
    return between(text, "<!-- gpu -->", gpu_page.page(_benchmark(results, "gpu")))


def update_growth(text: str, results: Path) -> str:
    """docs/growth.md with the table of what has been measured."""
    return between(text, "<!-- growth -->", growth_page.page(_benchmark(results, "growth")))


def update_search(text: str, results: Path) -> str:
    """docs/lix_ours.md with every try of LIX, ours, and of its logit half, beside KD and DIST."""
    tried = [*_choices(results), *read(results / "search", "toydrive", NETWORK)]
    lines = [line for line in tried if line["method"] in ("kd", "dist", "rwld", "lix-ours")]
    return between(text, "<!-- tries -->", choices_page.table(lines))


def _choices(results: Path) -> list[dict]:
    return read(results / "choices", "toydrive", NETWORK)


def _benchmark(results: Path, name: str) -> list[dict]:
    path = results / "benchmark" / f"{name}.jsonl"
    return read_json_lines(path) if path.exists() else []


def _spread(values: list[float], sign: str = "") -> str:
    if not values:
        return ""
    middle = f"{round(mean(values), 2) + 0.0:{sign}.2f}"  # + 0.0: never "-0.00"
    return f"{middle} ± {stdev(values):.2f}" if len(values) > 1 else middle


def _compare(runs: Runs, method: str) -> tuple[str, str]:
    """The gain over the student of the same seed, and the share of the gap closed, over the seeds that all have."""
    gain = _spread(list(gains(runs, method).values()), "+")
    closed = list(shares(runs, method).values())
    if None in closed:
        return gain, "no gap"
    return gain, f"{round(100 * mean(closed))} %" if closed else ""


def _miou(line: dict) -> float:
    return line["metrics"]["mIoU"]


def _note(lines: list[dict], teachers: list[dict]) -> str:
    (first, *_) = lines
    taught = ", ".join(str(updates) for updates in sorted({line["updates"] for line in teachers}))
    teacher = f" The teachers were trained for {taught} updates." if taught else ""
    devices = " and ".join(sorted({line["device"] for line in lines}))
    reduced = ", a schedule shorter than the recommended one (`reduced`)" if first["reduced"] else ""
    return (
        f"Split {first['split']}, {first['size'][0]} x {first['size'][1]}, {first['epochs']} epochs, "
        f"{first['updates']} updates of {first['batch']} images{reduced}; {devices}.{teacher} "
        "In %, mean ± standard deviation over the seeds; the gain is paired by seed."
    )


def main() -> None:
    results, docs = ROOT / "results", ROOT / "docs"
    pages = [(ROOT / "README.md", main_page.update), (docs / "results.md", main_page.update)]
    pages += [(docs / "predict.md", weights_page.update)]
    pages += [(docs / "lix_ours.md", update_search), (results / "README.md", update_measured)]
    pages += [(docs / "speed.md", update_speed), (docs / "gpu.md", update_gpu), (docs / "growth.md", update_growth)]
    pages += [(results / "history" / "README.md", lambda text, folder: update_history(text, folder / "history"))]
    for path, rewrite in pages:
        old = path.read_text(encoding="utf-8")
        try:
            new = rewrite(old, results)
        except ValueError as error:
            sys.exit(str(error))
        if "--check" in sys.argv[1:]:
            if new != old:
                sys.exit(f"{path.relative_to(ROOT)} is older than the results: run `python -m tools.dev.readme_tables`")
        elif new != old:
            write_atomically(path, lambda temporary, text=new: temporary.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
