"""Part "networks": steps of the three networks in mixed precision with bfloat16, their maps in channels_last."""

import gc
from collections.abc import Callable
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from lixlib import nets
from lixlib.core.constants import IGNORE
from lixlib.course.full_run import CARDS
from lixlib.data import Sample
from lixlib.distillers import METHODS, Distiller, TwoStage
from lixlib.training import Schedule, launch, sgd, update
from tools.benchmarks.gpu.jobs import Jobs, Place, Row
from tools.benchmarks.measure import MIB, median_seconds

PRECISION = "bf16-mixed"
NUM_CLASSES = 19
SIZE, SMALL = (384, 1248), (32, 64)
BATCHES = {"mfnet": 16, "off-net": 8, "sne-roadseg": 8}  # halved until they fit


def options_of(network: str, small: bool) -> dict:
    return {"encoder": "resnet18" if small else "resnet152"} if network == "sne-roadseg" else {}


def step_of(
    network: str,
    method: str,
    place: Place,
    *,
    size: tuple[int, int],
    batch: int,
    precision: str = PRECISION,
    num_classes: int = NUM_CLASSES,
    unlabelled: int = 0,
    **options: object,
) -> Callable[[], object]:
    """A function that makes one update with random images; with method "none" of the student alone.

    Args:
        unlabelled: how many images of the batch have no label.
        options: of the method, in place of its tuned ones.
    """
    torch.manual_seed(0)
    fabric = launch(place.device.type, precision)
    rgb, x = torch.rand(batch, 3, *size), torch.rand(batch, 1, *size)
    label = torch.randint(num_classes, (batch, *size))
    label[:unlabelled] = IGNORE
    build = partial(nets.build, network, num_classes=num_classes, **options_of(network, place.small))
    teacher = None if method == "none" else build(x_channels=1)
    tuned = {} if method == "none" else METHODS[method].tuned
    distiller = Distiller(build(), teacher, method, example=(rgb[:1], x[:1]), **{**tuned, **options})
    distiller.to(memory_format=torch.channels_last)
    if isinstance(distiller.method, TwoStage):
        distiller.method.stage_trained = True  # an untrained stage costs the same
    model, optimizer = fabric.setup(distiller, sgd(distiller, Schedule()))
    model.train()
    sample = Sample(rgb, x, x > 0, label, name=("random",) * batch).to(fabric.device)
    return lambda: update(model, optimizer, sample, fabric)


def jobs(place: Place) -> Jobs:
    """One job a network and what is trained: the student alone, and by LIX."""
    pairs = [(network, method) for network in BATCHES for method in ("none", "lix")]
    return {f"{network} {method}": partial(measure, network, method, place) for network, method in pairs}


def measure(network: str, method: str, place: Place) -> Row:
    """Images and operations a second of a step, with the largest batch that fits."""
    size, batch = (SMALL, 2) if place.small else (SIZE, BATCHES[network])
    while True:
        gc.collect()  # of the step before, or of the batch that did not fit
        if place.is_card:
            torch.cuda.empty_cache()
        try:
            return _measured(network, method, place, size, batch)
        except torch.cuda.OutOfMemoryError:
            if batch == 1:
                raise
        batch //= 2


def _measured(network: str, method: str, place: Place, size: tuple[int, int], batch: int) -> Row:
    step = step_of(network, method, place, size=size, batch=batch)
    step()
    with FlopCounterMode(display=False) as counter:
        step()
    if place.is_card:
        torch.cuda.reset_peak_memory_stats(place.device)
    seconds = median_seconds({"step": step}, 1 if place.small else 9, place.device)["step"]
    rate = counter.get_total_flops() / seconds
    card = CARDS.get(torch.cuda.get_device_name(place.device)) if place.is_card else None
    return {
        "network": network,
        "method": method,
        "options": options_of(network, place.small),
        "size": size,
        "batch": batch,
        "precision": PRECISION,
        "images_per_second": round(batch / seconds, 3),
        "tflop_per_second": round(rate / 1e12, 4),
        "share_of_peak": round(rate / 1e12 / card.tflops, 4) if card else None,
        "peak_mib": round(torch.cuda.max_memory_allocated(place.device) / MIB, 1) if place.is_card else None,
    }
