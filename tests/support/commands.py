"""Helpers for tests of the commands: weights, photographs, and checks of error messages."""

import numpy as np
from PIL import Image

from lixlib import checkpoints, nets


def save(path, classes, x_channels=None, trained=None, *, network="mfnet", options=None, size=(32, 48)):
    """Save the weights of an untrained network."""
    options = options or {}
    net = nets.build(network, num_classes=len(classes), x_channels=x_channels, **options)
    recipe = {"network": network, "num_classes": len(classes), "x_channels": x_channels, "options": options}
    checkpoints.save(net, path, {**recipe, "classes": classes.names, "size": size, "recipe": trained or {}})
    return path


def photo(path, size=(50, 40)):
    """Save a photograph of noise; size is width and height."""
    Image.fromarray(np.random.default_rng(0).integers(255, size=(size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def problems(errors):
    """The lines of stderr other than progress bars and the description of the weights."""
    return [line for line in errors.splitlines() if line and "%|" not in line and "lix: weights: " not in line]


def fails_with_one_line(outcome, *parts):
    code, _, errors = outcome
    assert code == 2
    assert "Traceback" not in errors
    (line,) = problems(errors)
    assert errors.splitlines()[-1] == line and line.startswith("lix: "), "a line of its own, below the progress bars"
    assert all(part in line for part in parts), line
