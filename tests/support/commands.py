"""What tests of the commands need: weights, photographs, and what a mistake looks like."""

import numpy as np
from PIL import Image

from lixlib import checkpoints, nets


def save(path, classes, x_channels=None, trained=None, *, network="mfnet", options=None, size=(32, 48)):
    """A weights file of a network that was trained nowhere."""
    options = options or {}
    net = nets.build(network, num_classes=len(classes), x_channels=x_channels, **options)
    recipe = {"network": network, "num_classes": len(classes), "x_channels": x_channels, "options": options}
    checkpoints.save(net, path, {**recipe, "classes": classes.names, "size": size, "recipe": trained or {}})
    return path


def photo(path, size=(50, 40)):
    """A photograph of noise, of a width and a height."""
    Image.fromarray(np.random.default_rng(0).integers(255, size=(size[1], size[0], 3), dtype=np.uint8)).save(path)
    return path


def problems(errors):
    """The lines of stderr that tell of neither progress nor the weights."""
    return [line for line in errors.splitlines() if line and "%|" not in line and "lix: weights: " not in line]


def fails_with_one_line(outcome, *parts):
    code, _, errors = outcome
    assert code == 2
    assert "Traceback" not in errors
    (line,) = problems(errors)
    assert errors.splitlines()[-1] == line and line.startswith("lix: "), "a line of its own, below the progress bars"
    assert all(part in line for part in parts), line
