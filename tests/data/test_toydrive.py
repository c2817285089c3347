"""ToyDrive: frames are reproducible, geometrically right, ambiguous on demand, and cached safely."""

import numpy as np
import pytest
import torch

from lixlib.core.files import _host
from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive import ToyDrive
from lixlib.data.toydrive.dataset import FIRST_FRAME
from lixlib.data.toydrive.render import FOCAL, paint_mask, render
from lixlib.data.toydrive.scene import make_scene
from lixlib.data.x import thermal
from lixlib.data.x.faults import FAULTS, corrupt

SMALL = (48, 160)
RECORDED_SHARE = [0.248, 0.072, 0.062, 0.01, 0.188, 0.016, 0.012, 0.0, 0.114, 0.158, 0.0, 0.101, 0.018]
RECORDED_MEAN = [141.2, 130.8, 113.3]
CAR, ROAD, SKY = (TOYDRIVE.names.index(name) for name in ("car", "road", "sky"))


@pytest.fixture(scope="module")
def frames():
    return [render(0, index, SMALL) for index in range(16)]


def test_frame_types(frames):
    frame = frames[0]
    assert frame.rgb.shape == (*SMALL, 3) and frame.rgb.dtype == np.uint8
    assert frame.depth.shape == SMALL and frame.depth.dtype == np.float32
    assert frame.label.shape == SMALL and frame.label.dtype == np.uint8
    assert not np.isnan(frame.depth).any() and frame.depth.min() > 0


def test_same_frame_twice_and_other_frames_differ(frames):
    again = render(0, 3, SMALL)
    for key in ("rgb", "depth", "label"):
        assert np.array_equal(getattr(frames[3], key), getattr(again, key))
    assert not np.array_equal(frames[3].label, frames[4].label)
    assert not np.array_equal(frames[3].label, render(1, 3, SMALL).label)


def test_recorded_frame(frames):
    """Frame 3 of seed 0, as recorded; the tolerance leaves room for rounding only."""
    share = np.bincount(frames[3].label.ravel(), minlength=13) / frames[3].label.size
    assert np.abs(share - RECORDED_SHARE).max() < 0.004
    assert np.abs(frames[3].rgb.reshape(-1, 3).mean(0) - RECORDED_MEAN).max() < 1.0


def test_scene_does_not_depend_on_size():
    for index in (0, 5):
        small, large = render(0, index, SMALL), render(0, index, (96, 320))
        assert (large.label[1::2, 1::2] == small.label).mean() > 0.85


def test_road_depth_follows_the_camera(frames):
    """A point on the road at depth z has the height 0, seen through the pixel's centre."""
    height, width = SMALL
    for index in (0, 3, 7):
        camera_height, _, yaw, pitch, roll = make_scene(0, index).camera
        v, u = np.nonzero(frames[index].label == ROAD)
        x, y = (u + 0.5 - width / 2) / (FOCAL * width), (height / 2 - v - 0.5) / (FOCAL * width)
        up = np.cos(roll) * y - np.sin(-roll) * x  # undo the roll, then the pitch
        rise = np.sin(pitch) + np.cos(pitch) * up
        z = camera_height + rise * frames[index].depth[v, u]
        assert np.abs(z).max() < 0.02


def test_sky_is_where_depth_is_infinite(frames):
    for frame in frames:
        assert np.array_equal(frame.label == SKY, np.isinf(frame.depth))


def test_every_class_occurs(frames):
    assert set(np.unique([frame.label for frame in frames])) == set(range(len(TOYDRIVE)))


def test_difficulty_changes_the_picture_and_not_the_scene(frames):
    for index in (1, 5):
        hard = render(0, index, SMALL, 1.0)
        assert np.array_equal(hard.label, frames[index].label) and np.array_equal(hard.depth, frames[index].depth)
        assert not np.array_equal(hard.rgb, frames[index].rgb)


def test_difficulty_makes_cars_look_like_the_road():
    def gap(difficulty):
        gaps = []
        for index in range(10):
            frame = render(0, index, SMALL, difficulty)
            car, road = frame.label == CAR, frame.label == ROAD
            if car.sum() > 30:
                mean = frame.rgb[road].astype(float).mean(0)
                gaps.append(np.linalg.norm(frame.rgb[car].astype(float) - mean, axis=1).mean())
        return np.mean(gaps)

    easy, normal, hard = gap(0.0), gap(0.5), gap(1.0)
    assert easy > normal > hard and hard < 0.8 * easy


def test_samples(tmp_path):
    data = ToyDrive("train", size=SMALL, count=2, cache=tmp_path)
    sample = data[1].check(len(data.classes))
    assert len(data) == 2 and data.x_channels == 1 and data.classes is TOYDRIVE
    sky = sample.label == SKY
    assert sample.valid.all() and (sample.x[0][sky] == 0).all() and (sample.x[0][~sky] > 0).all()
    sample = ToyDrive("train", size=SMALL, count=2, x="depth", cache=tmp_path)[1]
    assert torch.equal(sample.valid[0], ~sky) and (sample.x[0][sky] == 1).all()


def test_normals_of_the_road_point_up_and_the_sky_has_none(tmp_path):
    data = ToyDrive("train", size=(96, 320), count=2, x="normals", cache=tmp_path)
    sample = data[1].check(len(data.classes))
    assert data.x_channels == 3 and sample.unit == "normal"
    sky, road = sample.label == SKY, sample.label == ROAD
    assert not sample.valid[0, sky].any() and sample.valid[0, ~sky].float().mean() > 0.99
    assert (sample.x[:, ~sample.valid[0]] == 0).all()
    assert (sample.x.norm(dim=0)[sample.valid[0]] - 1).abs().max() < 1e-5
    assert sample.x[1, road].median() < -0.995, "the camera pitches and rolls by a few degrees"


def test_thermal_x_is_warm_where_people_are_and_cold_in_the_sky(tmp_path):
    data = ToyDrive("test", size=SMALL, count=12, x="thermal", cache=tmp_path)
    samples = [sample.check(len(data.classes)) for sample in data]
    x, label = (torch.stack([getattr(sample, name) for sample in samples]) for name in ("x", "label"))
    person = label == TOYDRIVE.names.index("pedestrian")
    assert data.x_channels == 1 and samples[0].unit == thermal.UNIT and 0 <= x.min() and x.max() <= 1
    assert x[:, 0][person].mean() > x[:, 0][label == ROAD].mean() > x[:, 0][label == SKY].mean()
    assert torch.equal(data[3].x, ToyDrive("test", size=SMALL, count=12, x="thermal", cache=tmp_path)[3].x)


def test_pieces_of_a_class_differ_in_warmth_and_distance_levels_it():
    label = np.full((20, 60), ROAD)
    label[5:15, 5:20] = label[5:15, 40:55] = CAR
    depth = np.full(label.shape, 10.0)
    near = thermal.thermal(label, depth, TOYDRIVE.names, np.random.default_rng(0))
    far = thermal.thermal(label, 20 * depth, TOYDRIVE.names, np.random.default_rng(0))
    one, other = (near[8:12, 40 * k + 8 : 40 * k + 12].mean() for k in (0, 1))
    assert abs(one - other) > 2 * thermal.NOISE / 40
    assert abs(far[8:12, 10:14].mean() - 0.5) < abs(near[8:12, 10:14].mean() - 0.5)


def test_faults_of_depth(frames):
    depth = frames[0].depth
    found = {fault: corrupt(depth, fault, np.random.default_rng(0)) for fault in FAULTS}
    assert all(each.shape == depth.shape and each.dtype == depth.dtype for each in found.values())
    known = np.isfinite(depth)
    assert np.array_equal(found["scale"], 2 * depth)
    assert np.log(found["noise"][known] / depth[known]).std() == pytest.approx(0.3, rel=0.05)
    assert (found["holes"] == 0).mean() == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(found["holes"][found["holes"] > 0], depth[found["holes"] > 0])
    pixels = round(0.06 * SMALL[1])
    assert np.array_equal(found["shift"][:, pixels:], depth[:, :-pixels])


def test_a_fault_reaches_x_and_nothing_else(tmp_path):
    clean, faulty = (ToyDrive("val", size=SMALL, count=2, fault=fault, cache=tmp_path) for fault in (None, "holes"))
    for i in range(2):
        assert torch.equal(clean[i].rgb, faulty[i].rgb) and torch.equal(clean[i].label, faulty[i].label)
        assert (faulty[i].x[~faulty[i].valid] == 0).all() and faulty[i].valid.float().mean() < 0.7
        again = ToyDrive("val", size=SMALL, count=2, fault="holes", cache=tmp_path)[i]
        assert torch.equal(faulty[i].x, again.x), "the frame decides the draw"
    assert len(list((tmp_path / "toydrive").glob("*.npz"))) == 1, "the rendered frames are the same"


def test_splits_share_no_frame(tmp_path):
    splits = {split: ToyDrive(split, size=(8, 24), count=2, cache=tmp_path) for split in FIRST_FRAME}
    names = {data[i].name for data in splits.values() for i in range(2)}
    assert len(names) == 2 * len(splits) == 8
    assert not torch.equal(splits["train"][0].rgb, splits["test"][0].rgb)


def test_cache_round_trip_and_damaged_file(tmp_path, monkeypatch, recwarn):
    first = ToyDrive("val", size=(16, 48), count=3, cache=tmp_path)
    (path,) = (tmp_path / "toydrive").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("lixlib.data.toydrive.dataset.render", None)  # the second time nothing is rendered
        second = ToyDrive("val", size=(16, 48), count=3, cache=tmp_path)
    assert torch.equal(first[2].rgb, second[2].rgb) and torch.equal(first[2].x, second[2].x)
    assert not recwarn.list
    with np.load(path) as file:
        arrays = dict(file)
    forged = [
        {**arrays, "rgb": arrays["rgb"][..., :1]},
        {**arrays, "depth": arrays["depth"].astype(np.float64)},
        {**arrays, "label": arrays["label"] + 100},
        {**arrays, "depth": arrays["depth"] * np.float32("nan")},
        {**arrays, "label": np.array([{}] * 3, dtype=object)},
        {"rgb": arrays["rgb"]},
    ]
    whole = path.read_bytes()
    middle = len(whole) // 2
    damaged = [whole[:500], b"", b"PK", whole[:middle] + b"!!!!" + whole[middle + 4 :], bytes(range(256))]
    leftover = path.with_name(f".{path.name}.{_host()}.{2**22 + 1}.tmp")  # no process has this number
    for content in (*damaged, *forged):
        path.write_bytes(content) if isinstance(content, bytes) else np.savez(path, **content)
        leftover.touch()
        with pytest.warns(UserWarning, match="rendering it again"):
            third = ToyDrive("val", size=(16, 48), count=3, cache=tmp_path)
        assert torch.equal(first[2].label, third[2].label) and torch.equal(first[2].x, third[2].x)
        assert list((tmp_path / "toydrive").iterdir()) == [path]
    leftover.touch()
    ToyDrive("val", size=(16, 48), count=3, cache=tmp_path)
    assert not leftover.exists(), "also where nothing is written"


def test_the_cache_tells_difficulties_apart_that_differ_in_the_seventh_digit(tmp_path):
    for difficulty in (0.2, 0.2000001):
        ToyDrive("val", size=(8, 24), count=1, difficulty=difficulty, cache=tmp_path)
    assert len(list((tmp_path / "toydrive").iterdir())) == 2


def test_cache_folder_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LIX_CACHE", str(tmp_path))
    ToyDrive("val", size=(8, 24), count=1)
    assert len(list((tmp_path / "toydrive").glob("*.npz"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "training"}, "unknown split 'training'"),
        ({"x": "height"}, "x must be 'disparity', 'depth' or 'normals' or be 'thermal', found 'height'"),
        ({"fault": "fog"}, "fault must be 'noise', 'holes', 'scale' or 'shift', found 'fog'"),
        ({"x": "thermal", "fault": "noise"}, "thermal X has none"),
        ({"size": (96,)}, "size must have one more item"),
        ({"size": (96, 0)}, r"size\[1\] must be at least 1, found 0"),
        ({"size": (96.0, 320.0)}, r"size\[0\] must be a valid integer, found 96.0"),
        ({"size": (8192, 8192), "count": 500_000}, "GiB of memory: choose a smaller size, or fewer frames"),
        ({"count": 0}, "count must be at least 1, found 0"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
        ({"difficulty": 1.5}, "difficulty must be at most 1, found 1.5"),
        ({"difficulty": float("nan")}, "difficulty must be a finite number, found nan"),
    ],
)
def test_bad_requests(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        ToyDrive(**({"split": "val", "count": 1, "cache": tmp_path} | options))


def test_paint_covers_no_other_depth_and_none_is_there_at_difficulty_0(frames):
    index = FIRST_FRAME["test"] + 25  # the frame of chapter 00: a car is painted on its road
    paint = paint_mask(0, index, SMALL, 1.0)
    assert paint.shape == SMALL and paint.dtype == bool
    plain, full = render(0, index, SMALL, 0.0), render(0, index, SMALL, 1.0)
    on_road = paint & (full.label == ROAD)
    assert on_road.sum() > 200 and np.array_equal(plain.depth, full.depth)
    rows = np.flatnonzero(on_road.any(1))
    beside = (full.label == ROAD) & ~paint & np.isin(np.arange(SMALL[0]), rows)[:, None]
    blue = full.rgb[..., 2].astype(int) - full.rgb[..., 0]
    assert blue[on_road].mean() > blue[beside].mean() + 20, "the paint is a blue car, the road beside it is not"
    bare = render(0, index, SMALL, 1.0, decoys=False)
    assert np.array_equal(bare.depth, full.depth) and np.array_equal(bare.label, full.label)
    changed = (bare.rgb != full.rgb).any(-1)
    assert changed[paint].all() and changed[~paint].mean() < 0.01, "only the edges of the paint lie outside its mask"
    assert not any(paint_mask(0, i, SMALL, 0.0).any() for i in range(4))
