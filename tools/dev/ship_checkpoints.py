"""Put the weights of finished runs into lixlib/checkpoints, in half precision, and record where they come from.

    python tools/dev/ship_checkpoints.py runs/toydrive/mfnet/lix-seed0-1a2b3c4d ...

lixlib/checkpoints/recipes.json then holds, by name, the file's SHA-256, the run's result line (its command, seed,
options, versions, hardware and scores), and that of its teacher. `python -m tools.dev.readme_tables` tells the scores.
"""

import hashlib
import json
import sys
from pathlib import Path

from lixlib import checkpoints
from lixlib.core.files import read_json_lines, write_atomically
from lixlib.lab.plan import runs_folder


def ship(folder: Path) -> None:
    """Ship the network of one run folder as DATASET-NETWORK-METHOD."""
    net, recipe = checkpoints.load(folder / "weights.safetensors")
    (line,) = read_json_lines(folder / "result.jsonl")
    name = f"{line['dataset']}-{line['network']}-{line['method']}"
    path = checkpoints.CHECKPOINTS / f"{name}.safetensors"
    checkpoints.save(net, path, recipe, half=True)
    entry = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "result": line}
    if line.get("teacher"):
        (entry["teacher"],) = read_json_lines(runs_folder() / line["teacher"] / "result.jsonl")
    text = json.dumps(dict(sorted((checkpoints.index() | {name: entry}).items())), indent=2) + "\n"
    index = checkpoints.CHECKPOINTS / "recipes.json"
    write_atomically(index, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        ship(Path(argument))
