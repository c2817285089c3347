"""Miniature data sets in the exact official layouts and encodings, made of ToyDrive frames, and their archives."""

import base64
import functools
import json
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import numpy as np
from own_folder import write

from lixlib.data.classes import TOYDRIVE
from lixlib.data.toydrive.dataset import camera
from lixlib.data.toydrive.render import render

SIZE = (24, 80)  # (H, W)

# What ToyDrive's classes are called elsewhere.
VKITTI2_NAMES = (
    *("Road", "Terrain", "Vegetation", "Road", "Building", "Pole", "TrafficSign", "TrafficLight"),
    *("Tree", "Sky", "Undefined", "Car", "Truck"),
)
VKITTI2_COLOURS = {
    "Terrain": (210, 0, 200),
    "Sky": (90, 200, 255),
    "Tree": (0, 199, 0),
    "Vegetation": (90, 240, 0),
    "Building": (140, 140, 140),
    "Road": (100, 60, 100),
    "GuardRail": (250, 100, 255),
    "TrafficSign": (255, 255, 0),
    "TrafficLight": (200, 200, 0),
    "Pole": (255, 130, 0),
    "Misc": (80, 80, 80),
    "Truck": (160, 60, 60),
    "Car": (255, 127, 80),
    "Van": (0, 139, 139),
    "Undefined": (0, 0, 0),
}
# road, sidewalk, terrain, road, building, pole, traffic sign, traffic light, vegetation, sky, person, car, truck
CITYSCAPES_IDS = np.array([7, 8, 22, 7, 11, 17, 20, 19, 21, 23, 24, 26, 27], dtype=np.uint8)
TRAIN_IDS = np.array([0, 1, 9, 0, 2, 5, 7, 6, 8, 10, 11, 13, 14])  # the same classes as they are trained
VEHICLE_EGO = 1  # labelId of the bonnet in the lowest row

# nuScenes' devkit numbers the categories in this order from 1, but for the last two.
NUIMAGES_IDS = {
    name: number
    for number, name in enumerate(
        (
            "animal",
            *(f"human.pedestrian.{kind}" for kind in ("adult", "child", "construction_worker", "personal_mobility")),
            *(f"human.pedestrian.{kind}" for kind in ("police_officer", "stroller", "wheelchair")),
            *(f"movable_object.{kind}" for kind in ("barrier", "debris", "pushable_pullable", "trafficcone")),
            "static_object.bicycle_rack",
            *(f"vehicle.{kind}" for kind in ("bicycle", "bus.bendy", "bus.rigid", "car", "construction")),
            *(f"vehicle.{kind}" for kind in ("emergency.ambulance", "emergency.police", "motorcycle")),
            *(f"vehicle.{kind}" for kind in ("trailer", "truck")),
        ),
        start=1,
    )
} | {"flat.driveable_surface": 24, "vehicle.ego": 31}


@functools.lru_cache
def frame(index: int, size: tuple[int, int] = SIZE):
    """A ToyDrive frame: rgb (H, W, 3), depth in metres (inf in the sky), label by ToyDrive's classes."""
    return render(0, index, size)


def vkitti2(root: Path, frames: dict[str, int] | None = None, *, apart: bool = False, size=SIZE) -> Path:
    """Virtual KITTI 2 as unpacked into one tree, or (apart) into a folder for each archive.

    frames: how many of each Scene/variation.
    """
    frames = {"Scene01/clone": 4, "Scene20/15-deg-left": 2} if frames is None else frames

    def place(kind: str, where: str) -> Path:
        return (root / f"vkitti_2.0.3_{kind}" if apart else root) / where

    number = 0
    for where, count in frames.items():
        for i in range(count):
            made = frame(number, size)
            number += 1
            for side in ("Camera_0", "Camera_1"):
                rgb = place("rgb", where) / "frames" / "rgb" / side / f"rgb_{i:05d}.jpg"
                depth = place("depth", where) / "frames" / "depth" / side / f"depth_{i:05d}.png"
                label = place("classSegmentation", where) / "frames/classSegmentation" / side / f"classgt_{i:05d}.png"
                write(rgb, made.rgb)
                write(depth, np.minimum(made.depth * 100, 65535).round().astype(np.uint16))
                colours = np.array([VKITTI2_COLOURS[name] for name in VKITTI2_NAMES], dtype=np.uint8)
                write(label, colours[made.label])
        k = camera(size)
        lines = ["Category r g b", *(f"{name} {r} {g} {b}" for name, (r, g, b) in VKITTI2_COLOURS.items())]
        write_text(place("textgt", where) / "colors.txt", lines)
        lines = [f"{i} {side} {k.fx:g} {k.fy:g} {k.u0:g} {k.v0:g}" for i in range(count) for side in (0, 1)]
        write_text(place("textgt", where) / "intrinsic.txt", ["frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]", *lines])
    return root


def kitti(root: Path, count: int = 4, *, size=SIZE, made: bool = True) -> Path:
    """KITTI Semantics, Scene Flow and their calibration.

    made: also the dense disparity that data_scripts/kitti.py makes.
    """
    baseline = 0.5327
    for i in range(count):
        shot, name, k = frame(i, size), f"{i:06d}_10.png", camera(size)
        training = root / "training"
        ids = CITYSCAPES_IDS[shot.label]
        disparity = (k.fx * baseline / shot.depth).astype(np.float32)  # 0 in the sky
        write(training / "image_2" / name, shot.rgb)
        write(training / "image_3" / name, right_view(shot.rgb, disparity))
        write(training / "semantic" / name, ids)
        write(training / "semantic_rgb" / name, TOYDRIVE.colours[shot.label])
        write(training / "instance" / name, ids.astype(np.uint16) * 256)
        dense = (disparity * 256).round().astype(np.uint16)
        measured = np.zeros_like(dense)
        measured[size[0] // 3 :: 2, ::2] = dense[size[0] // 3 :: 2, ::2]  # a laser scanner sees some, and no sky
        for kind in ("disp_occ_0", "disp_noc_0"):
            write(training / kind / name, measured)
        if made:
            write(training / "disparity_sgbm" / name, dense)
        offset = 0.062 * k.fx  # of camera 2 from camera 0
        lines = ["calib_time: 09-Jan-2012 13:57:47", "corner_dist: 9.950000e-02"]
        for number, shift in enumerate((0.0, -baseline * k.fx, offset, offset - baseline * k.fx)):
            matrix = (k.fx, 0, k.u0, shift, 0, k.fy, k.v0, 0, 0, 0, 1, 0)
            lines.append(f"S_rect_{number:02d}: {size[1]:e} {size[0]:e}")
            lines.append(f"P_rect_{number:02d}: " + " ".join(f"{value:e}" for value in matrix))
        write_text(training / "calib_cam_to_cam" / f"{i:06d}.txt", lines)
        write(root / "testing" / "image_2" / name, shot.rgb)
    return root


def right_view(rgb: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """What a camera to the right sees; where something was hidden, the left image."""
    right, (height, width) = rgb.copy(), disparity.shape
    order = np.argsort(disparity, axis=None, kind="stable")  # far to near
    rows, columns = np.unravel_index(order, (height, width))
    to = columns - disparity[rows, columns].round().astype(int)
    seen = to >= 0
    right[rows[seen], to[seen]] = rgb[rows[seen], columns[seen]]
    return right


def cityscapes(root: Path, counts: dict[str, int] | None = None, *, size=SIZE, made: bool = True) -> Path:
    """Cityscapes with disparity and cameras; the lowest row is the own bonnet, where nothing is measured.

    counts: images of each SPLIT/CITY; made: also the disparity that Depth Anything would give.
    """
    counts = {"train/aachen": 3, "train/ulm": 1, "val/munster": 2, "test/berlin": 1} if counts is None else counts
    baseline, k, number = 0.209313, camera(size), 0
    for where, count in counts.items():
        for i in range(count):
            shot, name = frame(number, size), f"{where}/{where.split('/')[1]}_{i:06d}_000019"
            number += 1
            ids = CITYSCAPES_IDS[shot.label]
            ids[-1] = VEHICLE_EGO
            if where.startswith("test"):
                ids[:] = 0  # labels of the test split are not published
            disparity = (k.fx * baseline / shot.depth * 256 + 1).round()
            disparity[np.isinf(shot.depth)] = 0
            disparity[-1] = 0
            write(root / "leftImg8bit" / f"{name}_leftImg8bit.png", shot.rgb)
            write(root / "gtFine" / f"{name}_gtFine_labelIds.png", ids)
            write(root / "gtFine" / f"{name}_gtFine_instanceIds.png", ids.astype(np.uint16))
            write(root / "gtFine" / f"{name}_gtFine_color.png", TOYDRIVE.colours[shot.label])
            write_json(root / "gtFine" / f"{name}_gtFine_polygons.json", {"imgHeight": size[0], "imgWidth": size[1]})
            write(root / "disparity" / f"{name}_disparity.png", disparity.astype(np.uint16))
            pose = {"pitch": 0.038, "roll": 0.0, "x": 1.7, "y": 0.1, "yaw": -0.0195, "z": 1.22}
            intrinsic = {"fx": k.fx, "fy": k.fy, "u0": k.u0, "v0": k.v0}
            parameters = {"extrinsic": {"baseline": baseline, **pose}, "intrinsic": intrinsic}
            write_json(root / "camera" / f"{name}_camera.json", parameters)
            if made:
                write(root / "lix" / "disparity" / f"{name}.png", relative(shot.depth))
    return root


def nuimages(root: Path, count: int = 5, *, version: str = "v1.0-mini", size=SIZE, made: bool = True):
    """nuImages: photographs, one sweep without annotations, and the tables, whose masks are run lengths.

    made: also the masks and the disparity that data_scripts/nuimages.py makes. Returns the label (H, W) of every
    photograph by the ids of nuScenes' devkit, by name (below samples/, without .jpg).
    """
    tables = {name: [] for name in ("attribute", "calibrated_sensor", "category", "ego_pose", "log", "object_ann",
                                    "sample", "sample_data", "sensor", "surface_ann")}  # fmt: skip
    for name in NUIMAGES_IDS:
        tables["category"].append({"token": token(name), "name": name, "description": ""})
    k, labels = camera(size), {}
    for side in ("CAM_FRONT", "CAM_BACK"):
        tables["sensor"].append({"token": token(side), "channel": side, "modality": "camera"})
        intrinsic = [[k.fx, 0, k.u0], [0, k.fy, k.v0], [0, 0, 1]]
        row = {"sensor_token": token(side), "camera_intrinsic": intrinsic, "camera_distortion": [0.0] * 6}
        tables["calibrated_sensor"].append({"token": token(side + "calib"), **row})
    tables["log"].append({"token": token("log"), "logfile": "n003", "location": "singapore"})
    for i in range(count + 1):
        side, key = ("CAM_FRONT", "CAM_BACK")[i % 2], i < count
        name, shot = f"{side}/n003-2018-01-02-11-48-43+0800__{side}__15148{i:08d}", frame(i, size)
        file = f"{'samples' if key else 'sweeps'}/{name}.jpg"
        write(root / file, shot.rgb)
        data, sample = token(file), token(f"sample{i}")
        row = {
            "sample_token": sample,
            "ego_pose_token": token("pose"),
            "calibrated_sensor_token": token(side + "calib"),
        }
        row |= {"filename": file, "fileformat": "jpg", "width": size[1], "height": size[0], "timestamp": i}
        tables["sample_data"].append({"token": data, **row, "is_key_frame": key, "prev": "", "next": ""})
        if not key:
            continue
        tables["sample"].append({"token": sample, "timestamp": i, "log_token": token("log"), "key_camera_token": data})
        label = np.zeros(size, dtype=np.uint8)
        ego = np.zeros(size, dtype=bool)
        ego[-2:] = True
        for category, mask in (("flat.driveable_surface", np.isin(shot.label, (0, 3)) & ~ego), ("vehicle.ego", ego)):
            label[mask] = NUIMAGES_IDS[category]
            row = {"category_token": token(category), "sample_data_token": data, "mask": encode_mask(mask)}
            tables["surface_ann"].append({"token": token(file + category), **row})
        objects = []
        for category, number in (("human.pedestrian.adult", 10), ("vehicle.car", 11), ("vehicle.truck", 12)):
            if (shot.label == number).any():
                objects.append((category, shot.label == number))
        cone = np.zeros(size, dtype=bool)
        cone[size[0] // 2 :, size[1] // 2 : size[1] // 2 + 9] = True  # covers what was painted before it
        objects.append(("movable_object.trafficcone", cone))
        for category, mask in sorted(objects, key=lambda pair: token(f"{data}{pair[0]}")):
            label[mask] = NUIMAGES_IDS[category]
            row = {"category_token": token(category), "sample_data_token": data, "mask": encode_mask(mask)}
            row |= {"bbox": [0, 0, 1, 1], "attribute_tokens": []}
            tables["object_ann"].append({"token": token(f"{data}{category}"), **row})
        row = {"category_token": token("vehicle.car"), "sample_data_token": data, "mask": None}  # too small for a mask
        tables["object_ann"].append(
            {"token": token(f"{data}small"), **row, "bbox": [0, 0, 1, 1], "attribute_tokens": []}
        )
        tables["object_ann"].reverse()  # a table has no order
        labels[name] = label
        if made:
            write(root / "lix" / "masks" / f"{name}.png", label)
            write(root / "lix" / "disparity" / f"{name}.png", relative(shot.depth))
    for name, rows in tables.items():
        write_json(root / version / f"{name}.json", rows)
    return labels


def relative(depth: np.ndarray) -> np.ndarray:
    """Inverse depth from 1 to 65535, as a network gives it that knows no metres."""
    inverse = 1 / depth
    return (1 + 65534 * (inverse - inverse.min()) / np.ptp(inverse)).round().astype(np.uint16)


def token(text: str) -> str:
    """32 hexadecimal digits."""
    return md5(text.encode()).hexdigest()


def encode_mask(mask: np.ndarray) -> dict:
    """COCO's compressed run lengths in base64, as nuImages stores a mask."""
    pixels = mask.T.ravel().astype(np.int8)  # column by column
    ends = np.flatnonzero(np.diff(pixels, prepend=0)).tolist() + [pixels.size]
    runs = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    text = bytearray()
    for i, run in enumerate(runs):
        rest, more = run - runs[i - 2] if i > 2 else run, True
        while more:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            text.append(48 + (bits | 32 if more else bits))
    return {"size": list(mask.shape), "counts": base64.b64encode(text).decode()}


# The official archives and what of the tree each holds.
ARCHIVES: dict[str, dict[str, Callable[[Path], bool]]] = {
    "vkitti2": {
        "vkitti_2.0.3_rgb.tar": lambda path: "rgb" in path.parts,
        "vkitti_2.0.3_depth.tar": lambda path: "depth" in path.parts,
        "vkitti_2.0.3_classSegmentation.tar": lambda path: "classSegmentation" in path.parts,
        "vkitti_2.0.3_textgt.tar.gz": lambda path: path.suffix == ".txt",
    },
    "kitti": {
        "data_semantics.zip": lambda path: path.parts[1] in ("image_2", "semantic", "semantic_rgb", "instance"),
        "data_scene_flow.zip": lambda path: path.parts[1] in ("image_2", "image_3", "disp_occ_0", "disp_noc_0"),
        "data_scene_flow_calib.zip": lambda path: path.parts[1].startswith("calib_"),
    },
    "cityscapes": {
        f"{kind}_trainvaltest.zip": lambda path, kind=kind: path.parts[0] == kind
        for kind in ("leftImg8bit", "gtFine", "disparity", "camera")
    },
    "nuimages": {
        "nuimages-v1.0-mini.tgz": lambda path: path.parts[0] in ("samples", "sweeps", "v1.0-mini"),
    },
}


def pack(dataset: str, root: Path, folder: Path) -> Path:
    """Write the official archives of a tree (in one piece) into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    for name, belongs in ARCHIVES[dataset].items():
        chosen = [path for path in files if belongs(path)]
        if name.endswith(".zip"):
            with zipfile.ZipFile(folder / name, "w") as archive:
                for path in chosen:
                    archive.write(root / path, path)
        else:
            with tarfile.open(folder / name, "w" if name.endswith(".tar") else "w:gz") as archive:
                for path in chosen:
                    archive.add(root / path, path)
    return folder


def write_text(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
