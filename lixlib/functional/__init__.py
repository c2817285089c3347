"""Every loss as a pure function of tensors, as torch.nn.functional is to torch.nn.

Logits are (B, C, H, W), or (N, C); the teacher's side never receives gradient; label 255 is ignored. Every loss is a
0-d tensor, computed in float32 or float64 whatever autocast says, and exactly 0 where no pixel is valid.
"""

from lixlib.functional.afdcd import omni_contrast_loss
from lixlib.functional.at import attention_transfer_loss
from lixlib.functional.cka import cka, gram, hsic, linear_cka
from lixlib.functional.confidence import confidence
from lixlib.functional.cwkd import cwkd_loss
from lixlib.functional.dist import dist_loss
from lixlib.functional.dkd import decouple, dkd_loss
from lixlib.functional.dwld import dwld_loss
from lixlib.functional.fitnet import fitnet_loss
from lixlib.functional.ft import factor_transfer_loss
from lixlib.functional.kd import kd_loss
from lixlib.functional.maskd import maskd_diversity, maskd_loss
from lixlib.functional.nst import nst_loss
from lixlib.functional.pad import pad_loss
from lixlib.functional.rkd import rkd_loss
from lixlib.functional.rwld import rarity_weights, rwld_loss
from lixlib.functional.sp import sp_loss
from lixlib.functional.vid import vid_loss
from lixlib.functional.wsld import wsld_loss

__all__ = [
    "attention_transfer_loss",
    "cka",
    "confidence",
    "cwkd_loss",
    "decouple",
    "dist_loss",
    "dkd_loss",
    "dwld_loss",
    "factor_transfer_loss",
    "fitnet_loss",
    "gram",
    "hsic",
    "kd_loss",
    "linear_cka",
    "maskd_diversity",
    "maskd_loss",
    "nst_loss",
    "omni_contrast_loss",
    "pad_loss",
    "rarity_weights",
    "rkd_loss",
    "rwld_loss",
    "sp_loss",
    "vid_loss",
    "wsld_loss",
]
