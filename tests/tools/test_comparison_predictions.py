"""The pictures that notebook 10 shows: what finished networks predict, as class numbers with the colours of classes."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lixlib.data import collate
from lixlib.data.classes import POTHOLES
from lixlib.lab import inputs, results
from lixlib.lab.recipe import Recipe
from lixlib.lab.run import run
from tools.studies.comparison_predictions import Options, evenly, main


def labels(path, size):
    return np.array(Image.open(path)).reshape(-1, *size)


def test_every_finished_method_predicts_the_same_images(tmp_path, monkeypatch, potholes_root, capsys):
    monkeypatch.setenv("LIX_RUNS", str(tmp_path / "runs"))
    student = Recipe(
        dataset="potholes", root=str(potholes_root), method="student", size=(32, 48), epochs=1, batch_size=2
    )
    runs = [run(replace(student, method=method), device="cpu") for method in ("teacher", "student")]
    for each in runs:
        results.append(each.line, tmp_path / "results")
    results.append(runs[1].line | {"method": "kd"}, tmp_path / "results")  # a run of another machine
    main(Options("potholes", str(potholes_root), images=2, results=str(tmp_path / "results")))

    folder = tmp_path / "results" / "predictions" / "potholes" / "mfnet"
    assert {path.name for path in folder.iterdir()} == {"teacher.png", "student.png", "truth.png", "frames.json"}
    assert "kd: its run is not in" in capsys.readouterr().err
    frames = json.loads((folder / "frames.json").read_text())
    test = inputs.load(student, frames["split"], with_x=True)
    samples = [test[index] for index in frames["indices"]]
    assert frames["names"] == [sample.name for sample in samples] and frames["indices"] == [0, len(test) - 1]
    assert (labels(folder / "truth.png", (32, 48)) == [sample.label.numpy() for sample in samples]).all()
    batch = collate(samples)
    expected = runs[0].net(batch.rgb, batch.x).logits.argmax(1), runs[1].net(batch.rgb).logits.argmax(1)
    for name, prediction in zip(("teacher", "student"), expected, strict=True):
        assert (labels(folder / f"{name}.png", (32, 48)) == prediction.numpy()).all()
    colours = np.array(Image.open(folder / "student.png").convert("RGB")).reshape(-1, 3)
    assert {tuple(colour) for colour in np.unique(colours, axis=0)} <= {tuple(c) for c in POTHOLES.colours}


def test_without_runs_it_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="lix compare --datasets camvid"):
        main(Options("camvid", results=str(tmp_path)))


@pytest.mark.parametrize(("total", "images"), [(300, 8), (8, 8), (9, 2)])
def test_images_are_evenly_spaced(total, images):
    found = evenly(total, images)
    assert found[0] == 0 and found[-1] == total - 1 and len(set(found)) == images
    assert max(np.diff(found)) - min(np.diff(found)) <= 1
