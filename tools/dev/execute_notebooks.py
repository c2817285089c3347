"""Run notebooks without a browser and write their outputs into them: `make notebooks`, or name the files.

What changes from run to run, or from machine to machine, is left out. `metadata.lix.sources` is a hash over the code,
so that a test can tell when outputs are older than the code above them.
"""

import base64
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
KEPT = ("tags", "alt", "jupyter")  # of a cell's metadata: what its picture shows, and whether its code is folded
LARGE = 150_000  # letters of a picture, of which as many colours are kept as no eye misses
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# Pixels take about a fifth of the time: a shown figure is only laid out, and one that a cell leaves open is closed.
NO_PICTURES = """
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib_inline import backend_inline

def close(*_, **__):
    plt.close("all")

close._draw_called, close._to_draw = False, []
backend_inline.show = close
get_ipython().display_formatter.ipython_display_formatter.for_type(Figure, Figure.draw_without_rendering)
"""


def notebook_files() -> list[Path]:
    """The chapters, in reading order."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def source_hash(notebook: NotebookNode) -> str:
    """SHA-256 over the sources of all code cells, in order."""
    digest = hashlib.sha256()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
    return digest.hexdigest()


def execute(path: Path, timeout: float, *, startup: str = "", **parameters: Any) -> NotebookNode:
    """Run one notebook by papermill, in the notebooks' folder, and return it with its outputs; raise if a cell fails.

    Units: `timeout` is in seconds, for each cell.

    Args:
        startup: code that the kernel runs first, e.g. NO_PICTURES.
    """
    with tempfile.TemporaryDirectory() as scratch, headless(Path(scratch), startup):
        return papermill.execute_notebook(
            path,
            None,  # it would be written again after every cell
            parameters,
            cwd=FOLDER,
            kernel_name="python3",
            execution_timeout=timeout,
            progress_bar=False,
        )


@contextmanager
def headless(scratch: Path, startup: str = "") -> Iterator[None]:
    """No widgets, no progress bars, training from scratch unless LIX_RUNS names a folder of finished runs.

    Args:
        startup: code that every kernel runs first.
    """
    before = dict(os.environ)
    os.environ.update(LIX_HEADLESS="1", LIX_RUNS=os.environ.get("LIX_RUNS", str(scratch / "runs")), TQDM_DISABLE="1")
    os.environ.pop("MPLBACKEND", None)  # the kernel chooses the one that draws into the notebook
    if startup:
        folder = scratch / "ipython" / "profile_default" / "startup"
        folder.mkdir(parents=True)
        (folder / "first.py").write_text(startup, encoding="utf-8")
        os.environ["IPYTHONDIR"] = str(scratch / "ipython")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def clean(notebook: NotebookNode) -> None:
    """Remove times, widget state and the exact Python version; store the hash of the code.

    What a busy kernel sent as several pieces of text becomes one. A large picture is stored in 256 colours.
    """
    CoalesceStreamsPreprocessor(enabled=True).preprocess(notebook, {})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "lix": {"sources": source_hash(notebook)},
    }
    for cell in notebook.cells:
        cell.metadata = {name: cell.metadata[name] for name in KEPT if cell.metadata.get(name)}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if WIDGET_VIEW not in output.get("data", {})]
            for output in cell.outputs:
                picture = output.get("data", {}).get("image/png", "")
                if len(picture) > LARGE:
                    output.data["image/png"] = in_few_colours(picture)


def in_few_colours(picture: str) -> str:
    """The picture, a PNG in base64, in 256 colours; as it is if that is no smaller, or if a part is transparent."""
    buffer, image = io.BytesIO(), Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode not in ("RGB", "RGBA") or image.convert("RGBA").getextrema()[3][0] < 255:
        return picture  # its alpha, or the second byte of its grey, would be lost
    image.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1).save(buffer, "PNG", optimize=True)
    return min(picture, base64.b64encode(buffer.getvalue()).decode(), key=len)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write under a temporary name, then rename."""
    partial = path.with_suffix(".part")
    nbformat.write(notebook, partial)
    os.replace(partial, path)


def main() -> None:
    paths = [Path(name).resolve() for name in sys.argv[1:]] or notebook_files()
    for path in paths:
        print(f"{path.name} ...", flush=True)
        notebook = execute(path, timeout=3600)
        clean(notebook)
        write(notebook, path)


if __name__ == "__main__":
    main()
