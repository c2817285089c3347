"""A training that is watched is the same training, what is measured is so, and a killed one goes on."""

import asyncio
import os
import threading
import time
from dataclasses import replace

import pytest
import torch
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from lixlib import data
from lixlib.core.files import read_json_lines, write_json_lines
from lixlib.course import watch
from lixlib.course.watch import Training, Watch, follow
from lixlib.distillers import Distiller
from lixlib.functional import linear_cka
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from lixlib.nets import build, call

TINY = {"size": (32, 48), "epochs": 3, "batch_size": 4, "dataset_options": {"count": 8, "eval_count": 4}}
RECIPE = Recipe(**TINY, unlabelled=0, network_options={"width": 0.25}, teacher={"epochs": 1})


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def distiller_of(method, **options):
    torch.manual_seed(0)
    nets = [build("mfnet", num_classes=5, x_channels=x, width=0.25) for x in (None, 1)]
    rgb, x, label = torch.rand(2, 3, 32, 48), torch.rand(2, 1, 32, 48), torch.randint(5, (2, 32, 48))
    distiller = Distiller(nets[0], nets[1], method, example=(rgb, x), **options).eval()
    return distiller, data.Sample(rgb, x, x > 0, label, ("a", "b"))


def test_a_watched_training_is_the_same_and_has_all_entries(runs):
    watched = run(RECIPE, device="cpu", progress=False, observe=Watch(RECIPE, frames=2))
    seen = [row["watch"] for row in watched.log]
    assert all(set(each) == {"shares", "weights", "cka"} for each in seen)
    os.rename(watched.folder, runs / "watched")
    alone = run(RECIPE, device="cpu", progress=False)
    assert alone.trained and all(map(torch.equal, alone.net.parameters(), watched.net.parameters()))
    assert [row["ce"] for row in alone.log] == [row["ce"] for row in watched.log]


def test_a_student_alone_has_one_share_and_nothing_of_a_teacher(runs):
    recipe = replace(RECIPE, method="student", epochs=1, teacher={})
    (row,) = run(recipe, device="cpu", progress=False, observe=Watch(recipe)).log
    assert row["watch"] == {"shares": {"ce": 1.0}}


def test_shares_are_lengths_of_gradients():
    distiller, batch = distiller_of("lix")
    found = watch.shares(distiller, batch)
    lengths = {}
    for name, term in distiller(batch).items():
        distiller.zero_grad()
        term.backward(retain_graph=True)
        gradients = [p.grad.flatten() for p in distiller.student.parameters() if p.grad is not None]
        lengths[name] = torch.cat(gradients).norm().item()
    total = sum(lengths.values())
    assert found == pytest.approx({name: length / total for name, length in lengths.items()}, abs=1e-4)
    doubled = watch.shares(distiller_of("lix", lambda_f=2.0)[0], batch)
    assert doubled["arfd"] / doubled["ce"] == pytest.approx(2 * found["arfd"] / found["ce"], rel=0.02)


def test_weights_and_cka_are_the_librarys():
    distiller, batch = distiller_of("lix", logit={"beta_min": 2.0, "beta_max": 5.0})
    found = watch.weights(distiller, batch)
    assert 2 <= found["least"] < found["mean"] < found["most"] <= 5
    assert watch.weights(distiller_of("arfd")[0], batch) == {}
    alike = watch.cka(distiller, batch)
    with torch.no_grad():
        taps = [call(net, batch.rgb, batch.x).taps for net in (distiller.student, distiller.teacher)]
    rows = [tap["conv5"].movedim(1, -1).flatten(0, 2) for tap in taps]
    assert alike["conv5"] == pytest.approx(linear_cka(*rows).item(), abs=1e-4)
    assert set(alike) == set(taps[0]) and all(0 <= value <= 1 for value in alike.values())


def test_what_nvidia_smi_says(tmp_path, monkeypatch):
    assert watch._number("[N/A]") is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU-a, 97, 312.5, 20480'\necho 'GPU-b, 3, [N/A], 11'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert watch.cards()["GPU-a"] == {"use": 97.0, "watts": 312.5, "mib": 20480.0}
    assert watch.cards()["GPU-b"] == {"use": 3.0, "watts": None, "mib": 11.0}
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert watch.cards() == {}


def test_a_log_is_followed_while_it_grows(tmp_path):
    log, lengths = tmp_path / "log.jsonl", []

    def grow():
        for last in range(1, 4):
            time.sleep(0.05)
            write_json_lines(log, [{"epoch": epoch} for epoch in range(1, last + 1)])

    writer = threading.Thread(target=grow)
    writer.start()
    with capture_output():
        rows = follow(log, lambda rows: lengths.append(len(rows)), epochs=3, seconds=0.01)
    writer.join()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert lengths == sorted(set(lengths)) and lengths[0] == 0 and lengths[-1] == 3


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_bits(runs):
    recipe = replace(RECIPE, epochs=20)
    with capture_output():
        training = Training(recipe, observe=Watch(recipe, frames=2), device="cpu", threads=1)
        rows = follow(training, lambda rows: None, epochs=2, seconds=0.01)
        assert training.alive and len(rows) < 20
        training.kill()
    assert not training.alive and not (training.log.parent / "weights.safetensors").exists()
    torch.set_num_threads(1)
    resumed = run(recipe, device="cpu", progress=False, observe=Watch(recipe, frames=2))
    assert len(resumed.log) == 20 and read_json_lines(training.log)[: len(rows)] == rows
    os.rename(resumed.folder, runs / "killed once")
    whole = run(recipe, device="cpu", progress=False)
    assert all(map(torch.equal, whole.net.parameters(), resumed.net.parameters()))


@pytest.mark.slow
def test_buttons_start_kill_and_go_on(runs, monkeypatch):
    """One process is killed by a click, the next goes on to the end; the picture grows with the log."""
    recipe, lengths = replace(RECIPE, method="student", teacher={}, epochs=12), []

    def draw(rows):
        lengths.append(len(rows))
        return Figure(figsize=(1, 1))

    async def clicks(panel):
        panel.go.click()
        assert panel.go.disabled and not panel.stop.disabled
        while lengths[-1] < 1:
            await asyncio.sleep(0.01)
        panel.stop.click()
        await panel.watching
        assert not panel.go.disabled and panel.stop.disabled and "nothing is running" in panel.told.value
        panel.go.click()
        await panel.watching

    monkeypatch.setattr(watch._Panel, "seconds", 0.01)
    panel = watch._Panel(recipe, draw, device="cpu", threads=1)
    assert lengths == [0] and bytes(panel.picture.value).startswith(b"\x89PNG")
    asyncio.run(clicks(panel))
    assert lengths == sorted(lengths) and lengths[-1] == 12 and not panel.training.alive


@pytest.mark.slow
def test_an_error_in_the_other_process_reaches_the_notebook(runs):
    recipe = Recipe(**{**TINY, "dataset_options": {"count": 2, "eval_count": 2}}, method="student")
    with capture_output(), pytest.raises(RuntimeError, match="do not fill a batch of 4"):
        follow(Training(recipe, device="cpu"), lambda rows: None, epochs=3)
