"""Computes the answers of a trained network on every test image. Only trusted code runs here."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.pixels import Normalisation, pixels_at_size
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone, read_weights
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.records import Predictions, SetPredictions
from kdbench.spec import Data, Family, Precision, Track
from kdbench.testsets.arrays import Manipulation, TestArrays

BATCH = 250  # images per forward pass
Logits = NDArray[np.float32]
SetProgress = Callable[[int, int], None]
"""A function that is called with the number of finished test sets and their total number."""


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
    network: Backbone,
    device: torch.device,
    manipulation: Manipulation | None = None,
) -> Iterator[Tensor]:
    """Yield images as a network sees them.

    Args:
        images: (n, h, h, 3) uint8, at the track's size or at its stored size.
        data: size and normalisation of the track.
        network: that will see them.
        device: of the network.
        manipulation: a change of the resized images; None for no change.

    Yields:
        (B, 3, H, H) float at the track's size, normalised, in the memory format of the network.
    """
    normalisation = Normalisation(data, device)
    for start in range(0, len(images), BATCH):
        pixels = pixels_at_size(images[start : start + BATCH], data, device)
        if manipulation is not None:
            pixels = manipulation.apply(pixels, slice(start, start + BATCH))
        yield normalisation(pixels, memory_format(network.family))


@torch.inference_mode()
def logits_of(
    network: Backbone,
    images: NDArray[np.uint8],
    data: Data,
    device: torch.device,
    *,
    precision: Precision = "float32",
    manipulation: Manipulation | None = None,
) -> Logits:
    """Return (n, C) float32 logits for (n, h, h, 3) uint8 images; see `image_batches`."""
    parts = []
    for batch in image_batches(images, data, network, device, manipulation):
        with autocast(precision, device):
            output = network(batch)
        parts.append(output.logits.float().cpu())
    return torch.cat(parts).numpy()


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
    network: Backbone,
    test_sets: Mapping[str, TestArrays],
    data: Data,
    *,
    device: torch.device,
    precision: Precision,
    teacher_logits: Mapping[str, Logits],
    progress: SetProgress,
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
    """
    predictions, logits = {}, {}
    for number, (name, arrays) in enumerate(test_sets.items()):
        progress(number, len(test_sets))
        logits[name] = logits_of(
            network, arrays.images, data, device, precision=precision, manipulation=arrays.manipulation
        )
        predictions[name] = answers(arrays, logits[name], teacher_logits.get(name))
    return predictions, logits
