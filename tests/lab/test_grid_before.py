"""What a grid finds before its first run: networks that cannot be built; and what repeats a run that failed."""

import shlex

import pytest
from in_process import InProcess

import lixlib.lab.grid
from lixlib import nets
from lixlib.lab.grid import STARTING, compare, grid
from lixlib.lab.recipe import Recipe
from lixlib.lab.workers import command_of
from lixlib.nets import MFNet

pytestmark = pytest.mark.usefixtures("runs")


@pytest.fixture
def few(camvid_root, monkeypatch) -> dict:
    """Options of a small grid, whose runs are trained in this process."""
    monkeypatch.setattr(lixlib.lab.grid, "_Processes", InProcess)
    monkeypatch.setattr(lixlib.lab.grid, "POLL", 0)
    shared = {"size": (32, 48), "epochs": 1, "batch_size": 4, "splits": ("train", None, "val")}
    return {"datasets": ["camvid"], "roots": {"camvid": str(camvid_root)}, **shared}


@pytest.fixture
def own(monkeypatch):
    """Registers a network under the name "own" that is MFNet after the given function was called."""
    monkeypatch.setattr(nets.registry, "NETWORKS", dict(nets.NETWORKS))
    monkeypatch.setattr("lixlib.nets.NETWORKS", nets.registry.NETWORKS)

    def register(before):
        def factory(num_classes, x_channels):
            before(x_channels)
            return MFNet(num_classes, x_channels)

        nets.register("own", factory)

    return register


def test_a_network_that_cannot_be_built_fails_before_anything_is_trained(few, own, tmp_path, monkeypatch, capsys):
    started = []
    monkeypatch.setattr(lixlib.lab.grid, "_train_all", lambda todo, *_: started.extend(todo.values()) or ())

    def needs_a_module(x_channels):
        if x_channels:
            import no_such_module_of_a_stranger  # noqa: F401

    own(needs_a_module)
    recipes = grid(networks=["own", "mfnet"], methods=["teacher", "kd", "student"], **few)
    report = compare(recipes, results_dir=tmp_path)
    others = [("mfnet", method) for method in ("teacher", "kd", "student")]
    assert [(step.recipe.network, step.recipe.method) for step in started] == [("own", "student"), *others]
    teacher, distilled = report.failures
    assert capsys.readouterr().out.startswith(f"camvid own teacher, seed 0: FAILED, {teacher.error}")
    assert teacher.error == "ModuleNotFoundError: No module named 'no_such_module_of_a_stranger'"
    assert (distilled.recipe.method, distilled.error) == ("kd", f"its teacher failed: {teacher.error}")


def test_each_network_is_built_once(few, own, tmp_path, monkeypatch):
    built = []
    own(lambda x_channels: built.append(x_channels))
    monkeypatch.setattr(lixlib.lab.grid, "_train_all", lambda *_: iter(()))
    compare(grid(networks=["own"], seeds=[0, 1, 2], **few), results_dir=tmp_path)
    assert sorted(built, key=str) == [1, None]


def test_a_network_that_needs_its_weights_while_it_is_built_is_built_with_them(few, own, tmp_path, monkeypatch):
    import torch

    own(lambda x_channels: torch.zeros(1).item())  # no tensor without memory can do this
    monkeypatch.setattr(lixlib.lab.grid, "_train_all", lambda *_: iter(()))
    assert compare(grid(networks=["own"], **few), results_dir=tmp_path).failures == []


def test_the_bar_says_that_it_starts_until_there_is_an_update(few, tmp_path, capsys):
    compare(grid(methods=["student"], **few), results_dir=tmp_path)
    first, *_, last = capsys.readouterr().err.strip().split("\r")
    assert first.startswith(f"{STARTING}:   0%") and last.startswith("100%")


def test_the_command_that_repeats_a_run_is_complete(monkeypatch, tmp_path):
    recipe, folder = Recipe(method="kd"), tmp_path / "my results"
    assert command_of(recipe, threads=1) == "OMP_NUM_THREADS=1 lix train --dataset toydrive --method kd --seed 0"
    monkeypatch.setenv("LIX_PLUGINS", "my_methods,my_data")
    assert "LIX_PLUGINS" not in command_of(recipe), "a result line's command"
    words = shlex.split(command_of(recipe, threads=1, results=folder))
    assert words[:3] == ["LIX_PLUGINS=my_methods,my_data", "OMP_NUM_THREADS=1", "lix"]
    assert words[-2:] == ["--results", str(folder)]


def test_options_that_are_not_by_method_say_how_to_write_them():
    with pytest.raises(ValueError, match=r"method_options has temperature, which is no method: .* \{\"kd\": \{\"temp"):
        grid(methods=["student", "kd"], method_options={"temperature": 4})
