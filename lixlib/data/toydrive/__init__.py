"""ToyDrive: procedural streets that are rendered when they are needed."""

from lixlib.data.toydrive.dataset import ToyDrive

__all__ = ["ToyDrive"]
