"""The table of a line of results/benchmark/gpu.jsonl, and what docs/gpu.md says of all lines."""

from tools.benchmarks.gpu.traffic import GOAL

NOBODY = "Nobody has run it on a card yet: `gpu.jsonl` in `results/benchmark/` has no line of one."
NETWORKS = {"mfnet": "MFNet", "off-net": "OFF-Net", "sne-roadseg": "SNE-RoadSeg"}
DONE = {"none": "student alone", "lix": "LIX"}
TITLES = {
    "agreement": "equal to the CPU",
    "networks": "steps in bfloat16",
    "losses": "losses, over one read and write",
    "graphs": "torch.compile",
    "waits": "no waiting in a step",
    "processes": "two processes",
}


def page(lines: list[dict]) -> str:
    """The table of every card's full run, or that there is none."""
    found = [line for line in lines if line["on"] == "cuda" and not line["small"]]
    return "\n\n".join(f"**{_about(line)}**\n\n{table(line)}" for line in found) or NOBODY


def table(line: dict) -> str:
    """One row a part, and in the two parts that measure speed one row a measurement."""
    text = ["| part | what | result |", "|---|---|---|"]
    for part, found in line["parts"].items():
        rows = ROWS[part](found["rows"]) if found["rows"] else []
        if not rows or found["status"] != "passed":
            rows = [*rows, ("", _status(found))]
        text += [f"| {TITLES[part]} | {what} | {result} |" for what, result in rows]
    return "\n".join(text)


def _about(line: dict) -> str:
    return f"{line['device']}, torch {line['versions']['torch']}, commit {line['commit']}, {line['seconds']:.0f} s"


def _status(found: dict) -> str:
    messages = "; ".join(found["messages"]).replace("|", "/")
    return f"{found['status']}: {messages}" if messages else found["status"]


def _agreement(rows: list[dict]) -> list[tuple[str, str]]:
    methods = [row for row in rows if row["name"].startswith("method ")]
    losses = [row for row in rows if row not in methods]
    groups = {
        f"{len(losses)} losses, float64": [row["float64"] for row in losses],
        f"{len(losses)} losses, float32": [row["float32"] for row in losses],
        f"{len(methods)} methods, float32": [row["float32"] for row in methods],
    }
    return [(what, f"largest difference {max(values):.1e}") for what, values in groups.items() if values]


def _networks(rows: list[dict]) -> list[tuple[str, str]]:
    found = []
    for row in rows:
        encoder = f" ({row['options']['encoder']})" if row["options"] else ""
        images = f"{row['batch']} x {row['size'][0]} x {row['size'][1]}"
        told = [f"{row['images_per_second']:.4g} images/s", f"{row['tflop_per_second']:.3g} TFLOP/s"]
        told += [f"{100 * row['share_of_peak']:.0f} % of peak"] if row["share_of_peak"] else ["peak unknown"]
        told += [f"{row['peak_mib'] / 1024:.1f} GiB"] if row["peak_mib"] else []
        found.append((f"{NETWORKS[row['network']]}{encoder}, {DONE[row['method']]}, {images}", ", ".join(told)))
    return found


def _losses(rows: list[dict]) -> list[tuple[str, str]]:
    found = []
    for row in rows:
        told = f"{row['ratio']:.2f}x ({row['ms']:.3g} ms)"
        told += f"; compiled {row['compiled_ratio']:.2f}x" if row["compiled_ratio"] else ""
        found.append((f"{row['name']}, {' x '.join(map(str, row['shape']))}", told))
    reached = sum(row["ratio"] <= GOAL for row in rows)
    speed = rows[0]["gb_per_second"]
    return [*found, (f"goal {GOAL}x, copy {speed:.4g} GB/s", f"{reached} of {len(rows)} reach it")]


def _graphs(rows: list[dict]) -> list[tuple[str, str]]:
    return [(f"{len(rows)} losses and networks", "one graph each")]


def _waits(rows: list[dict]) -> list[tuple[str, str]]:
    return [(f"{len(rows)} methods, watched by {rows[0]['watched_by']}", "nothing waits")]


def _processes(rows: list[dict]) -> list[tuple[str, str]]:
    return [(row["name"], f"{row['processes']} processes trained") for row in rows]


ROWS = {
    "agreement": _agreement,
    "networks": _networks,
    "losses": _losses,
    "graphs": _graphs,
    "waits": _waits,
    "processes": _processes,
}
