"""The distillation methods: modules that hold what a loss needs to learn (adapters, controllers), and `Distiller`."""

from lixlib.distillers.afdcd import AfDCD
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.distiller import METHODS, Distiller, build
from lixlib.distillers.dkd import DKD
from lixlib.distillers.dwld import DWLD, DynamicWeightController
from lixlib.distillers.ft import FT
from lixlib.distillers.kd import KD
from lixlib.distillers.lix import LIX
from lixlib.distillers.maskd import MasKD
from lixlib.distillers.none import NoDistillation
from lixlib.distillers.pad import PAD
from lixlib.distillers.stage import Stage, TwoStage
from lixlib.distillers.vid import VID

__all__ = [
    "ARFD",
    "DKD",
    "DWLD",
    "FT",
    "KD",
    "LIX",
    "METHODS",
    "PAD",
    "VID",
    "AfDCD",
    "Distiller",
    "DynamicWeightController",
    "MasKD",
    "NoDistillation",
    "Stage",
    "TwoStage",
    "build",
]
