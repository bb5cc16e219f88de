"""A distillation loop with the structure of published repositories, such as RepDistiller (Tian et al. 2020).

This is our own code. It does what their loops do: a DataLoader whose workers crop, flip and normalise PIL images one by
one, networks in single precision, the teacher without gradient, and the loss and the accuracies read from the device in
each step. The images, networks and loss are those of the harness's loop that is measured beside it; the optimiser is
AdamW as well, so that the arithmetic is alike. Workers live on between epochs, which is in favour of this loop.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from kdbench.networks.models import new_backbone
from kdbench.spec import Augmentation, Data, Direction, Track, families

TEMPERATURE, DISTILL_WEIGHT = 4.0, 0.9  # the defaults of `lm`


class Pictures(Dataset[tuple[Tensor, int]]):
    """Stored images, each of which is drawn as a PIL image that is moved, flipped and normalised.

    Args:
        images: (N, h, h, 3) uint8.
        labels: (N,) int.
        data: normalisation of the track; sizes other than the stored one are not supported.
        augmentation: shifts and flips of the track.
    """

    def __init__(self, images: NDArray[Any], labels: NDArray[Any], data: Data, augmentation: Augmentation) -> None:
        flips = [transforms.RandomHorizontalFlip()] if augmentation.flip else []
        self._images, self._labels = images, labels
        self._transform = transforms.Compose(
            [
                transforms.RandomCrop(data.image_size, padding=augmentation.shift),
                *flips,
                transforms.ToTensor(),
                transforms.Normalize(data.mean, data.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(self._images[number])), int(self._labels[number])


def plain_loop(
    track: Track, direction: Direction, device: torch.device, pictures: Pictures, workers: int
) -> Callable[[], dict[str, float]]:
    """Return a function that draws a batch, trains on it and returns the loss and the accuracies.

    Args:
        track: with the networks and the batch size.
        direction: with the families of the networks.
        device: where to train.
        pictures: the training set.
        workers: number of processes that load it.
    """
    pair = families(direction)
    teacher = new_backbone(track, pair.teacher, seed=0, pretrained=False).model.to(device).eval()
    student = new_backbone(track, pair.student, seed=0, pretrained=False).model.to(device).train()
    recipe = track.backbones[pair.student]
    optimizer = torch.optim.AdamW(student.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    batches = _endless(pictures, track.training.batch_size, workers)

    def step() -> dict[str, float]:
        images, labels = (tensor.to(device) for tensor in next(batches))
        logits = student(images)
        with torch.no_grad():
            teacher_logits = teacher(images)
        loss = distillation_loss(logits, teacher_logits, labels)
        read = {"loss": loss.item(), "top1": accuracy(logits, labels, 1), "top5": accuracy(logits, labels, 5)}
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return read

    return step


def _endless(pictures: Pictures, batch_size: int, workers: int) -> Iterator[list[Tensor]]:
    loader = DataLoader(
        pictures, batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def distillation_loss(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the weighted sum of cross-entropy and of the divergence from the teacher (Hinton et al. 2015).

    Args:
        student_logits, teacher_logits: (B, C) float.
        labels: (B,) int.
    """
    divergence = F.kl_div(
        F.log_softmax(student_logits / TEMPERATURE, dim=1),
        F.softmax(teacher_logits / TEMPERATURE, dim=1),
        reduction="batchmean",
    )
    entropy = F.cross_entropy(student_logits, labels)
    return (1 - DISTILL_WEIGHT) * entropy + DISTILL_WEIGHT * TEMPERATURE**2 * divergence


@torch.no_grad()
def accuracy(logits: Tensor, labels: Tensor, most: int) -> float:
    """Return the percentage of images whose label is among the `most` largest logits (B, C)."""
    answers = logits.topk(min(most, logits.shape[1]), dim=1).indices
    return 100 * (answers == labels[:, None]).any(dim=1).float().mean().item()
