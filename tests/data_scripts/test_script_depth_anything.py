"""The Depth Anything script, with a network of a few thousand weights, and the scripts that take their X from it."""

import re
import shutil
from pathlib import Path

import cityscapes
import depth_anything
import numpy as np
import pytest
import torch
import trees
from own_folder import write
from PIL import Image
from scripts import run, times

from lixlib import data


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """A Depth Anything of a few thousand random weights, saved as the published ones are."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("depth_anything")
    backbone = Dinov2Config(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 56, "width": 56}
    DPTImageProcessorPil(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)
    return folder


def test_depth_of_a_folder_of_photographs(network, tmp_path, capsys):
    photographs = {"a.jpg": (24, 80), "deep/b.png": (37, 50)}
    for name, size in photographs.items():
        write(tmp_path / "in" / name, trees.frame(0, size).rgb)
    arguments = ("--images", tmp_path / "in", "--out", tmp_path / "out", "--model", network)
    assert run(depth_anything, *arguments, "--dry-run") == 0 and not (tmp_path / "out").exists()
    assert run(depth_anything, *arguments) == 0
    for name, size in photographs.items():
        depth = np.asarray(Image.open((tmp_path / "out" / name).with_suffix(".png")))
        assert depth.shape == size and depth.dtype == np.uint16
        assert (depth.min(), depth.max()) == (1, 65535), "0 would be invalid"
    before = times(tmp_path / "out")
    assert run(depth_anything, *arguments) == 0 and times(tmp_path / "out") == before
    shutil.rmtree(tmp_path / "out")
    assert run(depth_anything, *arguments, "--limit", 1) == 0
    assert [path.name for path in times(tmp_path / "out")] == ["a.png"]
    (tmp_path / "in" / "c.png").write_bytes(b"half")
    assert run(depth_anything, *arguments) == 1
    assert re.search("not made: .*c.png is no readable image", capsys.readouterr().out)
    assert sorted(path.name for path in times(tmp_path / "out")) == ["a.png", "b.png"]


def test_photographs_are_turned_before_their_depth_is_made(network, tmp_path):
    shot, exif = Image.fromarray(trees.frame(0, (37, 50)).rgb), Image.Exif()
    exif[0x0112] = 6
    for name, image, options in (
        ("a.PNG", shot, {}),
        ("b.png", shot.transpose(Image.Transpose.ROTATE_90), {"exif": exif}),
    ):
        (tmp_path / "in").mkdir(exist_ok=True)
        image.save(tmp_path / "in" / name, **options)
    assert run(depth_anything, "--images", tmp_path / "in", "--out", tmp_path / "out", "--model", network) == 0
    upright, turned = (np.asarray(Image.open(tmp_path / "out" / name)) for name in ("a.png", "b.png"))
    assert upright.shape == (37, 50) and np.array_equal(upright, turned)


def test_what_is_a_photograph_in_a_folder(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "photos" / "disparity"
    shown = ("a.jpeg", "deep/b.PNG", "deep/c.jpg")
    for name in (*shown, "._a.jpeg", ".git/d.png", "Thumbs.db", "disparity/a.png", "e.heic"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    (photos / "folder.png").mkdir()
    with pytest.warns(UserWarning, match="photos: left out 1 file that ends in none of .jpg, .jpeg, .png: e.heic"):
        found = depth_anything.photographs(photos, out)
    assert found == {(out / name).with_suffix(".png"): photos / name for name in shown}
    (photos / "deep" / "b.jpg").touch()
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="deep/b.PNG and .*deep/b.jpg have one name"):
        depth_anything.photographs(photos, out)
    with pytest.raises(ValueError, match="holds the photographs, which depth maps of their names would replace"):
        depth_anything.photographs(photos, photos / "deep" / "..")


def test_larger_is_nearer_as_the_network_says(network):
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation

    image = Image.fromarray(trees.frame(0, (56, 56)).rgb)
    model = AutoModelForDepthEstimation.from_pretrained(network).eval()
    processor = AutoImageProcessor.from_pretrained(network, backend="pil")
    found = depth_anything.estimate(model, processor, image)
    with torch.inference_mode():
        inverse = model(processor(images=image, return_tensors="pt")["pixel_values"]).predicted_depth[0]
    inverse = (inverse - inverse.min()) / (inverse.max() - inverse.min())
    assert torch.equal((1 + 65534 * inverse).round().int(), torch.from_numpy(found.astype(np.int32)))


def test_depth_without_photographs_or_network_is_an_error(tmp_path, capsys):
    assert run(depth_anything, "--images", tmp_path, "--out", tmp_path / "out") == 1
    assert f"images in {tmp_path}" in capsys.readouterr().err
    write(tmp_path / "a.png", trees.frame(0).rgb)
    assert run(depth_anything, "--images", tmp_path, "--out", tmp_path / "out", "--model", tmp_path / "no") == 1
    assert capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("case", ["camvid", "nuimages", "cityscapes"], indirect=True)
def test_a_network_makes_x_where_none_is(case, network, capsys):
    script, root, arguments, _ = case
    if script is not cityscapes:  # whose X is then another one
        assert run(script, *arguments) == 0 and "RGB alone" in capsys.readouterr().out
    assert run(script, *arguments, "--depth-anything", network) == 0
    assert "RGB alone" not in capsys.readouterr().out
    options = {"source": "depth-anything"} if script is cityscapes else {}
    sample = data.load(script.__name__, "val", root=root, size=None, **options)[0]
    assert sample.unit == "relative inverse depth" and sample.valid.all() and sample.x.max() == 1
