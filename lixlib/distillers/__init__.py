"""The distillation methods: modules that hold what a loss needs to learn (adapters, controllers), and `Distiller`."""

from lixlib.distillers.afdcd import AfDCD
from lixlib.distillers.arfd import ARFD
from lixlib.distillers.at import AT
from lixlib.distillers.cwkd import CWKD
from lixlib.distillers.diffkd import DiffKD
from lixlib.distillers.dist import DIST
from lixlib.distillers.distiller import Distiller
from lixlib.distillers.dkd import DKD
from lixlib.distillers.dwld import DWLD, DynamicWeightController
from lixlib.distillers.fitnet import FitNet
from lixlib.distillers.ft import FT
from lixlib.distillers.kd import KD
from lixlib.distillers.lix import LIX
from lixlib.distillers.lix_ours import LIXOurs
from lixlib.distillers.maskd import MasKD
from lixlib.distillers.mean_teacher import MeanTeacher
from lixlib.distillers.none import NoDistillation
from lixlib.distillers.nst import NST
from lixlib.distillers.pad import PAD
from lixlib.distillers.predict_x import PredictX, XHead
from lixlib.distillers.pseudo_labels import PseudoLabels
from lixlib.distillers.registry import METHODS, Method, build, register
from lixlib.distillers.rkd import RKD
from lixlib.distillers.rwld import RWLD
from lixlib.distillers.sp import SP
from lixlib.distillers.stage import Stage, TwoStage
from lixlib.distillers.vid import VID
from lixlib.distillers.wsld import WSLD

__all__ = [
    "ARFD",
    "AT",
    "CWKD",
    "DIST",
    "DKD",
    "DWLD",
    "FT",
    "KD",
    "LIX",
    "METHODS",
    "NST",
    "PAD",
    "RKD",
    "RWLD",
    "SP",
    "VID",
    "WSLD",
    "AfDCD",
    "DiffKD",
    "Distiller",
    "DynamicWeightController",
    "FitNet",
    "LIXOurs",
    "MasKD",
    "MeanTeacher",
    "Method",
    "NoDistillation",
    "PredictX",
    "PseudoLabels",
    "Stage",
    "TwoStage",
    "XHead",
    "build",
    "register",
]
