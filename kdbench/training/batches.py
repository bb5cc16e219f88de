"""Training batches from images in memory: order and augmentation depend on the seed alone, not on the method."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import Batch
from kdbench.data.pixels import Normalisation, resized
from kdbench.data.training_sets import TrainingSet
from kdbench.randomness import seed_of
from kdbench.spec import Augmentation, Data

StreamName = tuple[str | int, ...]


class Batches:
    """A training set on the device, and the batches drawn from it.

    Args:
        data: images (N, h, h, 3) uint8, at the track's size or at its stored size, and labels (N,).
        settings: size and normalisation of the track.
        augmentation: shifts and flips of the track.
        batch_size: images per batch; an epoch drops the images that do not fill one.
        stream: name of the random stream for order and augmentation; arms with the same stream see the same batches.
        device: of the images, which are moved there once as uint8 and resized batch by batch.
        memory_format: of the batches' images.
    """

    def __init__(
        self,
        data: TrainingSet,
        settings: Data,
        augmentation: Augmentation,
        *,
        batch_size: int,
        stream: StreamName,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        if batch_size > len(data.labels):
            raise ValueError(f"a batch has {batch_size} images, but the training set has only {len(data.labels)}")
        shift = augmentation.shift
        self._enlarged = data.images.shape[2] < settings.image_size
        padding = 0 if self._enlarged else shift
        padded = np.pad(data.images, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), mode="edge")
        self._stored = torch.from_numpy(padded).permute(0, 3, 1, 2).contiguous().to(device)
        self.labels = torch.from_numpy(data.labels.copy()).to(device)
        self._normalisation = Normalisation(settings, device)
        self._shift, self._flip, self._settings = shift, augmentation.flip, settings
        self._batch_size, self._stream, self._device = batch_size, stream, device
        self._format = memory_format

    @property
    def per_epoch(self) -> int:
        return len(self.labels) // self._batch_size

    def epoch(self, epoch: int, *, first: int = 0, stage: str = "train") -> Iterator[Batch]:
        """Yield the batches of an epoch, starting with number `first`; each `stage` has its own order."""
        order = torch.randperm(len(self.labels), generator=self._generator(stage, "order", epoch))
        for number in range(first, self.per_epoch):
            index = order[number * self._batch_size : (number + 1) * self._batch_size].clone()  # the method gets it
            yield self._batch(index, self._generator(stage, "augment", epoch, number))

    def _generator(self, *name: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(seed_of(*self._stream, *name))

    def _batch(self, index: Tensor, generator: torch.Generator) -> Batch:
        count, side = len(index), self._settings.image_size
        corner = torch.randint(2 * self._shift + 1, (2, count, 1), generator=generator)
        columns = torch.arange(side).expand(count, side)
        if self._flip:
            flipped = torch.randint(2, (count, 1), generator=generator).bool()
            columns = torch.where(flipped, columns.flip(1), columns)
        rows, columns = self._moved(corner[0] + torch.arange(side)), self._moved(corner[1] + columns)
        index = self._moved(index)
        channels = torch.arange(3, device=self._device)[None, :, None, None]
        source, source_rows = self._source(index)
        pixels = source[source_rows[:, None, None, None], channels, rows[:, None, :, None], columns[:, None, None, :]]
        return Batch(images=self._normalisation(pixels, self._format), labels=self.labels[index], index=index)

    def _moved(self, drawn: Tensor) -> Tensor:
        """Return drawn numbers on the device; a GPU copies them while it works on the previous step."""
        if self._device.type != "cuda":
            return drawn.to(self._device)
        return drawn.pin_memory().to(self._device, non_blocking=True)

    def _source(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return images at the track's size with a margin for shifts, and the rows of the batch in them."""
        if not self._enlarged:
            return self._stored, index
        larger = resized(self._stored[index].float(), self._settings)
        return F.pad(larger, (self._shift,) * 4, mode="replicate"), torch.arange(len(index), device=self._device)
