"""A network from outside the package: by a name that is registered, or as module.path:factory."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lixlib import checkpoints, nets
from lixlib.lab.plan import folder_of
from lixlib.lab.recipe import Recipe

PAGE = Path(__file__).resolve().parents[2] / "docs" / "network_of_your_own.md"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The examples of the page, as modules in the working directory."""
    code, of_transformers, *_ = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "page_nets.py").write_text(code + "\nnumber = 3\n", encoding="utf-8")
    (tmp_path / "page_segformer.py").write_text(of_transformers, encoding="utf-8")
    (tmp_path / "broken_nets.py").write_text("import no_such_thing\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    monkeypatch.delitem(sys.modules, "page_nets", raising=False)
    return "page_nets:unet"


def test_by_module_and_factory(module, tmp_path):
    net = nets.build(module, num_classes=3, x_channels=1, width=4)
    assert nets.call(net, torch.rand(1, 3, 16, 24), torch.rand(1, 1, 16, 24)).taps["conv2"].shape == (1, 4, 8, 12)
    assert ":" not in str(folder_of(Recipe(network=module)))
    description = {"network": module, "num_classes": 3, "x_channels": 1, "options": {"width": 4}}
    checkpoints.save(net, tmp_path / "net.safetensors", {**description, "classes": ["a", "b", "c"], "size": [16, 24]})
    loaded, _ = checkpoints.load(tmp_path / "net.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), loaded.state_dict().values(), strict=True))
    file = tmp_path / "page_nets.py"
    file.write_text(file.read_text(encoding="utf-8").replace("stride=2", "stride=2, bias=False"), encoding="utf-8")
    del sys.modules["page_nets"]
    with pytest.raises(ValueError, match=r"it has besides .*; has page_nets.py changed since they were saved\?"):
        checkpoints.load(tmp_path / "net.safetensors")
    file.unlink()
    del sys.modules["page_nets"]
    match = "net.safetensors needs page_nets.py: put its folder into PYTHONPATH .*there is no module page_nets"
    with pytest.raises(ValueError, match=match):
        checkpoints.load(tmp_path / "net.safetensors")


def test_segformer(module):
    pytest.importorskip("transformers", reason="transformers is not installed")
    with torch.no_grad():
        logits, taps = nets.build("page_segformer:segformer", num_classes=3, x_channels=1).eval()(
            torch.rand(1, 3, 64, 96), torch.rand(1, 1, 64, 96)
        )
    assert logits.shape == (1, 3, 64, 96)
    assert [taps[f"stage{i}"].shape[2:] for i in (1, 4)] == [(16, 24), (2, 3)]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("no_nets:unet", {}, "there is no module no_nets"),
        ("broken_nets:unet", {}, "broken_nets cannot be imported: No module named 'no_such_thing'"),
        ("page_nets:vnet", {}, "has no vnet: it has .*unet"),
        ("page_nets:number", {}, "is 3: a class or a function"),
        ("page_nets:unet", {"depth": 3}, "has no option 'depth': it takes width"),
        ("../page_nets:unet", {}, "must be module.path:factory"),
        ("subprocess:Popen", {}, "a module of Python itself"),
    ],
)
def test_what_is_refused(module, name, options, message):
    with pytest.raises(ValueError, match=message):
        Recipe(network=name, network_options=options)


def test_registered():
    nets.register("own-registered", nets.MFNet)
    try:
        assert Recipe(network="own-registered", network_options={"width": 0.5}).network == "own-registered"
        assert nets.build("own-registered", num_classes=2).num_classes == 2
    finally:
        del nets.NETWORKS["own-registered"]
    wrong = {"mfnet": "of the library", "a/b": "is made of", "long" * 75: "has at most 60 letters, found 300"}
    for name, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            nets.register(name, nets.MFNet)


@pytest.mark.slow
def test_trained_by_the_command(module, tmp_path):
    words = ["--network", module, "--epochs", "2", "--size", "32", "96", "--batch", "4"]
    words += ["--dataset-options", '{"count": 8, "eval_count": 8}', "--unlabelled", "0", "--device", "cpu"]
    program = (
        "import sys; sys.path.remove(''); from lixlib.cli import main\n"
        "for method in ('student', 'kd'):\n"
        f"    sys.argv = ['lix', 'train', '--method', method, *{words}]; main()"
    )
    environment = {**os.environ, "LIX_RUNS": str(tmp_path / "runs"), "PYTHONPATH": str(PAGE.parents[1])}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for method in ("student", "kd"):
        weights = list((tmp_path / "runs" / "toydrive" / "page_nets-unet").glob(f"{method}-*/weights.safetensors"))
        assert len(weights) == 1 and nets.x_channels(checkpoints.load(weights[0], trust=True)[0]) is None
