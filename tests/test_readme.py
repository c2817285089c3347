"""The README's code runs as it stands there, and its picture is that of the shipped networks."""

import re
from pathlib import Path

import torch

from lixlib.data import Sample

README = Path(__file__).resolve().parents[1] / "README.md"


def test_the_ten_lines_distil_a_network_of_ones_own():
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict = {}
    exec(code, names)
    x = names["x"]
    terms = names["distiller"](Sample(names["rgb"], x, x > 0, names["label"], ("a", "b")))
    assert set(terms) == {"ce", "dwld", "arfd"}
    sum(terms.values()).backward()
    names["optimizer"].step()
    assert all(torch.isfinite(p).all() for p in names["distiller"].parameters())


def test_every_file_that_the_readme_links_is_there():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (README.parent / link).exists()]
    assert not missing
