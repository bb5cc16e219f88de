"""Computes the answers of a trained network on every test image. Only trusted code runs here."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import Output, OutputField
from kdbench.data.pixels import Normalisation, pixels_at_size
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone, read_weights
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.records import Predictions, SetPredictions
from kdbench.spec import Data, Family, Precision, Track
from kdbench.testsets.arrays import Manipulation, TestArrays

BATCH = 250  # images per forward pass on a CPU, and at least on a GPU
PIXELS_ON_GPU = 2**22  # of all images of a forward pass: 4,096 images of 32 x 32 pixels
Logits = NDArray[np.float32]
TakePooled = Callable[[NDArray[np.float32]], None]
SetProgress = Callable[[int, int], None]
"""A function that is called with the number of finished test sets and their total number."""


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


class Evaluated(Protocol):
    """A network that can be evaluated: a `Backbone`, or a network that somebody gave.

    Attributes:
        family: decides the memory format of the images; None for neither family.
    """

    @property
    def family(self) -> Family | None: ...

    def __call__(self, images: Tensor, needs: frozenset[OutputField], /) -> Output:
        """Return the fields in `needs` for (B, 3, H, H) normalised images."""


def load_network(track: Track, family: Family, weights: Path, device: torch.device) -> Backbone:
    """Return a network of the spec with all of its trained weights, in evaluation mode on a device.

    Raises:
        DataError: the weights are missing or damaged.
    """
    backbone = new_backbone(track, family, seed=0, pretrained=False)
    backbone.model.load_state_dict(read_weights(weights), strict=True)
    return placed(backbone, device).eval()


def image_batches(
    images: NDArray[np.uint8],
    data: Data,
    network: Evaluated,
    device: torch.device,
    manipulation: Manipulation | None = None,
    batch: int = BATCH,
) -> Iterator[Tensor]:
    """Yield images as a network sees them.

    Args:
        images: (n, h, h, 3) uint8, at the track's size or at its stored size.
        data: size and normalisation of the track.
        network: that will see them.
        device: of the network.
        manipulation: a change of the resized images; None for no change.
        batch: images at a time.

    Yields:
        (B, 3, H, H) float at the track's size, normalised, in the memory format of the network.
    """
    normalisation = Normalisation(data, device)
    for start in range(0, len(images), batch):
        pixels = pixels_at_size(images[start : start + batch], data, device)
        if manipulation is not None:
            pixels = manipulation.apply(pixels, slice(start, start + batch))
        yield normalisation(pixels, memory_format(network.family))


def logits_of(
    network: Evaluated,
    images: NDArray[np.uint8],
    data: Data,
    device: torch.device,
    *,
    precision: Precision = "float32",
    manipulation: Manipulation | None = None,
) -> Logits:
    """Return (n, C) float32 logits for (n, h, h, 3) uint8 images; see `image_batches`."""
    return outputs_of(network, images, data, device, precision=precision, manipulation=manipulation)["logits"]


def outputs_of(
    network: Evaluated,
    images: NDArray[np.uint8],
    data: Data,
    device: torch.device,
    *,
    pooled: bool = False,
    precision: Precision = "float32",
    manipulation: Manipulation | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return (n, C) `logits` for images and, on request, (n, F) `pooled` features from the same forward passes.

    A GPU takes as many images at a time as `PIXELS_ON_GPU` says, or fewer if they do not fit.

    Args:
        network, images, data, device, manipulation: see `image_batches`.
        pooled: whether to return the input of the classifier, too.
        precision: of the forward passes.
    """
    batch = first_batch(data, device)
    while True:
        try:
            batches = image_batches(images, data, network, device, manipulation, batch)
            return _collected(network, batches, device, precision, pooled=pooled)
        except torch.OutOfMemoryError:
            if batch <= BATCH:
                raise
            batch = max(BATCH, batch // 2)


def first_batch(data: Data, device: torch.device) -> int:
    """Return how many images of a track go through a network at a time, if they fit."""
    return max(BATCH, PIXELS_ON_GPU // data.image_size**2) if device.type == "cuda" else BATCH


@torch.inference_mode()
def _collected(
    network: Evaluated, batches: Iterator[Tensor], device: torch.device, precision: Precision, *, pooled: bool
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs for batches; they leave the device all at once, since each copy would wait for it."""
    needs: frozenset[OutputField] = frozenset({"logits", "pooled"} if pooled else {"logits"})
    parts: dict[str, list[Tensor]] = {name: [] for name in needs}
    for images in batches:
        with autocast(precision, device):
            output = network(images, needs)
        for name, part in parts.items():
            part.append(getattr(output, name).float())
    return {name: torch.cat(part).cpu().numpy() for name, part in parts.items()}


def answers(arrays: TestArrays, logits: Logits, teacher_logits: Logits | None) -> SetPredictions:
    """Return the predictions of a record for the logits on one test set; `SetPredictions` documents the fields.

    Args:
        arrays: of the test set.
        logits: (n, C) of the network.
        teacher_logits: (n, C) of its teacher; None for a network without one, whose `kl` is NaN.
    """
    target = torch.from_numpy(np.asarray(arrays.targets, dtype=np.int64))
    log_p = F.log_softmax(torch.from_numpy(logits).double(), dim=1)
    p = log_p.exp()
    if teacher_logits is None:
        kl = torch.full((len(target),), float("nan"))
    else:
        log_t = F.log_softmax(torch.from_numpy(teacher_logits).double(), dim=1)
        kl = (log_t.exp() * (log_t - log_p)).sum(dim=1)
    confidence, label = p.max(dim=1)
    return SetPredictions(
        index=np.asarray(arrays.index, dtype=np.int32),
        target=np.asarray(arrays.targets, dtype=np.int16),
        texture=np.asarray(arrays.textures, dtype=np.int16),
        label=label.numpy().astype(np.int16),
        confidence=confidence.numpy().astype(np.float32),
        nll=-log_p.gather(1, target[:, None]).squeeze(1).numpy().astype(np.float32),
        brier=((p - F.one_hot(target, p.shape[1])) ** 2).sum(dim=1).numpy().astype(np.float32),
        kl=kl.numpy().astype(np.float32),
    )


def evaluate(
    network: Evaluated,
    test_sets: Mapping[str, TestArrays],
    data: Data,
    *,
    device: torch.device,
    precision: Precision,
    teacher_logits: Mapping[str, Logits],
    progress: SetProgress = no_progress,
    take_pooled: Mapping[str, TakePooled] = MappingProxyType({}),
) -> tuple[Predictions, dict[str, Logits]]:
    """Return the answers and the logits of a network on every test set, by the set's name.

    Args:
        network: in evaluation mode.
        test_sets: by name.
        data: size and normalisation of the track.
        device: where to compute.
        precision: of the forward passes.
        teacher_logits: (n, C) of the network's teacher, by test set; sets may be missing.
        progress: called before every test set.
        take_pooled: receives the (n, F) pooled features on a test set, by the set's name; sets may be missing.
    """
    predictions, logits = {}, {}
    for number, (name, arrays) in enumerate(test_sets.items()):
        progress(number, len(test_sets))
        changed: dict[str, Any] = {"precision": precision, "manipulation": arrays.manipulation}
        outputs = outputs_of(network, arrays.images, data, device, pooled=name in take_pooled, **changed)
        logits[name] = outputs["logits"]
        if name in take_pooled:
            take_pooled[name](outputs["pooled"])
        predictions[name] = answers(arrays, logits[name], teacher_logits.get(name))
    return predictions, logits
