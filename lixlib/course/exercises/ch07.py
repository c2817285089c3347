"""Chapter 07: a bottleneck's parameters, a plane's normal, a stem for depth."""

from collections.abc import Callable

import torch
from torch import Tensor

from lixlib.course.checker import Exercise, Inputs, randn
from lixlib.data.x.normals import Intrinsics
from lixlib.nets.resnet import Bottleneck


def _blocks(generator: torch.Generator) -> Inputs:
    return {
        "a block in the middle of layer 2": (512, 128, 1),
        "the first block of layer 3": (512, 256, 2),
        "the first block of layer 1": (64, 64, 1),
        "a stride of 2 where the channels fit": (512, 128, 2),
    }


def _bottleneck(in_channels: int, width: int, stride: int) -> int:
    return sum(p.numel() for p in Bottleneck(in_channels, width, stride).parameters())


def _seen_planes(generator: torch.Generator) -> Inputs:
    def trial(camera, normals):
        u, v = 600 * torch.rand(2, len(normals), dtype=torch.float64, generator=generator)
        rays = torch.stack([(u - camera.u0) / camera.fx, (v - camera.v0) / camera.fy, torch.ones_like(u)], dim=1)
        normals = normals * (normals * rays).sum(1, keepdim=True).sign()  # so that every plane lies before the camera
        du, dv = normals[:, 0] / camera.fx, normals[:, 1] / camera.fy
        return (normals * rays).sum(1), du, dv, u, v, camera

    return {
        "random planes": trial(Intrinsics(500.0, 500.0, 310.0, 190.0), randn(generator, 20, 3)),
        "pixels that are not square": trial(Intrinsics(700.0, 350.0, 280.0, 205.0), randn(generator, 20, 3)),
        "planes parallel to the image": trial(
            Intrinsics(500.0, 500.0, 310.0, 190.0), torch.tensor([[0.0, 0.0, 0.4]] * 5, dtype=torch.float64)
        ),
    }


def _plane_mistake(nx: Callable, ny: Callable, nz: Callable, unit: bool = True) -> Callable[..., Tensor]:
    """The normal, turned to the camera, by a formula of D, its slopes, pixel and camera for each component."""

    def mistake(*seen):
        n = -torch.stack([component(*seen) for component in (nx, ny, nz)], dim=1)
        return n / n.norm(dim=1, keepdim=True) if unit else n

    return mistake


_PLANE = (
    lambda d, du, dv, u, v, camera: camera.fx * du,
    lambda d, du, dv, u, v, camera: camera.fy * dv,
    lambda d, du, dv, u, v, camera: d - (u - camera.u0) * du - (v - camera.v0) * dv,
)


def _stems(generator: torch.Generator) -> Inputs:
    return {
        "a ResNet's first convolution": (randn(generator, 64, 3, 7, 7),),
        "filters that tell colours apart": (randn(generator, 8, 3, 1, 1) * torch.tensor([1, -1, 0])[:, None, None],),
    }


EXERCISES = {
    "07.1": Exercise(
        expected=_bottleneck,
        inputs=_blocks,
        hint="count the three convolutions, then two parameters a channel for each batch norm, then the shortcut.",
        mistakes={
            "the batch norms are missing: two parameters for every channel of each convolution.": lambda i, w, s: (
                i * w + 9 * w**2 + 4 * w**2 + (4 * i * w if s > 1 or i != 4 * w else 0)
            ),
            "the shortcut's batch norm is missing.": lambda i, w, s: (
                _bottleneck(i, w, s) - (8 * w if s > 1 or i != 4 * w else 0)
            ),
            "where the stride is 2 the shortcut needs its convolution, even if the channels fit.": lambda i, w, s: (
                _bottleneck(i, w, 1)
            ),
            "the shortcut is missing.": lambda i, w, s: _bottleneck(4 * w, w, 1) + (i - 4 * w) * w,
            "that is a shortcut with a convolution always; it has none where size and channels fit.": lambda i, w, s: (
                _bottleneck(i, w, 2)
            ),
        },
    ),
    "07.2": Exercise(
        expected=_plane_mistake(*_PLANE),
        inputs=_seen_planes,
        hint="n_x = fx du and n_y = fy dv, up to a common factor c; insert both into D = (n_x x + n_y y + n_z) / c.",
        mistakes={
            "it has the right direction; make it a unit vector.": _plane_mistake(*_PLANE, unit=False),
            "n_z is not D itself: subtract what n_x and n_y contribute at this pixel.": _plane_mistake(
                *_PLANE[:2], lambda d, *_: d
            ),
            "pixels count from the principal point: u - u0 and v - v0.": _plane_mistake(
                *_PLANE[:2], lambda d, du, dv, u, v, camera: d - u * du - v * dv
            ),
            "n_y needs fy; only for square pixels is it the same as fx.": _plane_mistake(
                _PLANE[0], lambda d, du, dv, u, v, camera: camera.fx * dv, _PLANE[2]
            ),
        },
    ),
    "07.3": Exercise(
        expected=lambda weight: weight.mean(1, keepdim=True),
        inputs=_stems,
        hint="which dimension of the weight are the three input channels?",
        mistakes={
            "that is one of the three channels; take the mean of all.": lambda weight: weight[:, :1],
            "that is the sum over the input channels; take their mean.": lambda weight: weight.sum(1, keepdim=True),
            "those weights are luminance; the reference takes the plain mean.": lambda weight: (
                weight * torch.tensor([0.299, 0.587, 0.114]).double()[:, None, None]
            ).sum(1, keepdim=True),
            "the mean over the filters is of the wrong dimension; the input channels are dimension 1.": lambda weight: (
                weight.mean(0, keepdim=True).movedim(1, 0)
            ),
        },
    ),
}
