"""One rule for where to compute, on machines that nobody here has."""

import pytest
import torch
from lightning_fabric import Fabric

import lixlib.training
from lixlib.core.devices import choose_device
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.lab.workers import _Processes
from lixlib.training import launch


@pytest.fixture
def machine(monkeypatch):
    def pretend(cuda: bool, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize("mps", [False, True])
@pytest.mark.parametrize("cuda", [False, True])
def test_auto_is_cuda_or_the_cpu_and_never_mps(machine, cuda, mps):
    machine(cuda, mps)
    assert choose_device("auto").type == ("cuda" if cuda else "cpu")
    assert choose_device("cpu").type == "cpu"
    if cuda:
        assert choose_device("cuda").type == "cuda"
    else:
        with pytest.raises(ValueError, match="no GPU that torch can use: choose --device cpu"):
            choose_device("cuda")
    with _Processes(None, "auto") as workers:
        assert (workers.jobs == 1) == cuda or not cuda


def test_a_training_takes_the_device_of_that_rule(machine, monkeypatch):
    asked = []

    class Recorded(Fabric):
        def __init__(self, accelerator, **options):
            asked.append(accelerator)
            super().__init__(accelerator="cpu", **options)

    monkeypatch.setattr("lightning_fabric.Fabric", Recorded)
    for cuda, mps in ((False, True), (True, True), (False, False)):
        machine(cuda, mps)
        launch("auto")
    assert asked == ["cpu", "cuda", "cpu"]


def test_an_unknown_device_or_precision_is_one_line(machine):
    machine(False, True)
    with pytest.raises(ValueError, match="^device: name must be 'auto', 'cpu' or 'cuda', found 'tpu'$"):
        run(Recipe(), device="tpu")
    with pytest.raises(ValueError, match="found 'mps'"):
        launch("mps")
    with pytest.raises(ValueError, match="precision must be '32-true', 'bf16-mixed' or '16-mixed', found 'bf16-true'"):
        launch("cpu", "bf16-true")
    with pytest.raises(ValueError, match="^precision 16-mixed needs a GPU: on a CPU choose bf16-mixed$"):
        run(Recipe(precision="16-mixed"), device="auto")


def test_what_a_cpu_computes_in_is_what_was_asked_for():
    for precision in ("32-true", "bf16-mixed"):
        assert launch("cpu", precision)._precision.precision == precision
    assert lixlib.training.launch("cpu").device.type == "cpu"
