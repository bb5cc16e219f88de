"""From weights to answers: what a trained network says about every test image. Only trusted code runs here."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from kdbench.data.pixels import Normalisation, pixels_at_size
from kdbench.errors import in_a_sentence
from kdbench.files import DAMAGES, atomic_file
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import new_backbone, read_weights
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.records import LOGITS, Predictions, SetPredictions, SetResult
from kdbench.spec import Data, Family, Precision, Track
from kdbench.testsets.arrays import Manipulation, TestArrays
from kdbench.testsets.on_device import manipulated

BATCH = 250
Logits = NDArray[np.float32]
Progress = Callable[[int, int], None]


def load_network(track: Track, family: Family, weights: Path, device: torch.device) -> Backbone:
    """A fresh network of the spec with the trained weights, every one of them, ready to be asked."""
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
    """(n, h, h, 3) uint8 images, stored ones resized, manipulated if it is still to be done, and normalised.

    Yields:
        (B, 3, H, H) float at the track's size, in the memory format of the network.
    """
    normalisation = Normalisation(data, device)
    for start in range(0, len(images), BATCH):
        pixels = pixels_at_size(images[start : start + BATCH], data, device)
        if manipulation is not None:
            pixels = manipulated(pixels, manipulation, slice(start, start + BATCH))
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
    """(n, C) float32 logits for (n, h, h, 3) uint8 images; see `image_batches`."""
    parts = []
    for batch in image_batches(images, data, network, device, manipulation):
        with autocast(precision, device):
            output = network(batch)
        parts.append(output.logits.float().cpu())
    return torch.cat(parts).numpy()


def answers(arrays: TestArrays, logits: Logits, teacher_logits: Logits | None) -> SetPredictions:
    """What a record keeps of the logits on one test set; the fields are documented in `SetPredictions`."""
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
    progress: Progress,
) -> tuple[Predictions, dict[str, Logits]]:
    """Answers and logits on every test set."""
    predictions, logits = {}, {}
    for number, (name, arrays) in enumerate(test_sets.items()):
        progress(number, len(test_sets))
        logits[name] = logits_of(
            network, arrays.images, data, device, precision=precision, manipulation=arrays.manipulation
        )
        predictions[name] = answers(arrays, logits[name], teacher_logits.get(name))
    return predictions, logits


def summarise(predictions: Predictions, num_classes: int) -> dict[str, SetResult]:
    """Images and macro accuracy of every set, for a reader of `result.json`."""
    summary = {}
    for name, one in predictions.items():
        correct = one.label == one.target
        per_class = [correct[one.target == k].mean() for k in range(num_classes) if (one.target == k).any()]
        summary[name] = SetResult(images=len(one.target), macro_accuracy=float(np.mean(per_class)))
    return summary


def write_logits(folder: Path, logits: Mapping[str, Logits]) -> None:
    """Keeps the logits as float16 beside the record."""
    with atomic_file(folder / LOGITS) as file:
        np.savez_compressed(file, **{name: values.astype(np.float16) for name, values in logits.items()})  # type: ignore[arg-type]


def read_logits(folder: Path | None) -> dict[str, Logits]:
    """The logits kept in `folder`; none if they were not kept, or are damaged: the weights give them again."""
    if folder is None or not (folder / LOGITS).exists():
        return {}
    try:
        with np.load(folder / LOGITS, allow_pickle=False) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}
    except DAMAGES as error:
        print(f"{folder / LOGITS} is damaged and not used: {in_a_sentence(error)}")
        return {}
