"""An attack on the question of planted cues: read one bit of the teacher, then train on labels alone.

    before training: on conflict images of 8 batches, count the teacher's answers for the shape and for the texture
    L = CE(z_s(x), y) + CE(z_s(x'), y'),  y' = the class of the shape if it had more answers, else that of the texture

A conflict image x' has the object's outline of one image and the texture of another one, found by simple means in the
batch itself. Nothing that the teacher says about an image is ever matched, so no distillation takes place: the student
learns whichever cue the teacher prefers, as far as it goes, whatever the teacher's own share is.

This file measures what the protocol can exclude and what it cannot. It breaks the rules for methods, which forbid to
build probes for the planted cues and to branch on which teacher there is, so it may not be submitted. Its transfer may
be high. What gives it away are its points in the dose-response plot: teachers whose doses differ little get students
that differ as much as those of teachers whose doses differ most.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Method, Run, Task

PROBE_BATCHES = 8
WINDOW = 12  # pixels per side of the patch of texture that is taken from an object
RIM = 2  # pixels from the edge of an image that show its background


def object_mask(images: Tensor) -> Tensor:
    """Return (B, 1, H, W) bool: where (B, 3, H, W) images differ from the mean colour of their edges."""
    inner = torch.zeros_like(images[:1, :1], dtype=torch.bool)
    inner[..., RIM:-RIM, RIM:-RIM] = True
    background = _mean_colour(images, ~inner)
    difference = F.avg_pool2d(images - background, 3, stride=1, padding=1).square().mean(dim=1, keepdim=True)
    mask = (difference > difference.mean(dim=(2, 3), keepdim=True)).float()
    return F.avg_pool2d(mask, 3, stride=1, padding=1) > 0.5


def texture_field(images: Tensor, mask: Tensor) -> Tensor:
    """Return (B, 3, H, W): the texture of each object without its mean colour, mirrored until it covers the image.

    The patch that is mirrored is the window that the object fills best. Its pixels outside of the object are 0.
    """
    texture = (images - _mean_colour(images, mask)) * mask
    coverage = F.avg_pool2d(mask.float(), WINDOW, stride=1)
    corner = coverage.flatten(1).argmax(dim=1)
    step = torch.arange(images.shape[-1], device=images.device) % (2 * WINDOW)
    step = torch.minimum(step, 2 * WINDOW - 1 - step)
    rows = (corner // coverage.shape[-1])[:, None] + step
    columns = (corner % coverage.shape[-1])[:, None] + step
    image = torch.arange(len(images), device=images.device)[:, None, None]
    return texture.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def conflict_images(images: Tensor, order: Tensor) -> Tensor:
    """Return each image with the texture of another one on its object.

    Args:
        images: (B, 3, H, W) float, square.
        order: (B,) int64, for each image the position of the one whose texture it gets.
    """
    mask = object_mask(images)
    textured = _mean_colour(images, mask) + texture_field(images, mask)[order]
    return torch.where(mask, textured, images)


def _mean_colour(images: Tensor, mask: Tensor) -> Tensor:
    """Return (B, 3, 1, 1), the mean of the pixels in a mask; 0 for an empty one."""
    weight = mask.to(images.dtype)
    return (images * weight).sum(dim=(2, 3), keepdim=True) / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1)


class ProbeOneBit(Method):
    """Ask the teacher once whether it prefers shape or texture, then train on labels that follow this cue."""

    name, paper, directions = "probe-one-bit", "", EVERY
    summary = "an attack: reads one bit of the teacher, then trains on labels alone"
    images = (
        "against the rules for methods: both networks see the images of the batch as they are, and conflict images, "
        "which have the outline of one object of the batch and the texture of another"
    )

    @dataclass(frozen=True)
    class Config:
        pass

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        self.register_buffer("prefers_shape", torch.tensor(False))

    prefers_shape: Tensor

    def prepare(self, run: Run) -> None:
        """Count the teacher's answers on conflict images, in at most 8 batches of one pass over the training set."""
        balance = torch.zeros((), dtype=torch.int64, device=self.prefers_shape.device)
        for batch in run.batches(min(PROBE_BATCHES, self.task.total_steps // self.task.epochs)):
            order = torch.randperm(len(batch.labels), device=batch.labels.device)
            answers = run.teacher_forward(conflict_images(batch.images, order)).logits.argmax(dim=1)
            balance += (answers == batch.labels).sum() - (answers == batch.labels[order]).sum()
        self.prefers_shape.copy_(balance > 0)
        run.log(prefers_shape=self.prefers_shape.float())

    def step(self, run: Run, batch: Batch) -> None:
        order = torch.randperm(len(batch.labels), device=batch.labels.device)
        images = torch.cat([batch.images, conflict_images(batch.images, order)])
        logits = run.student_forward(images).logits
        plain, conflict = logits[: len(batch.labels)], logits[len(batch.labels) :]
        labels = torch.where(self.prefers_shape, batch.labels, batch.labels[order])
        run.backward_and_step(
            {
                "cross_entropy": F.cross_entropy(plain, batch.labels),
                "conflict_cross_entropy": F.cross_entropy(conflict, labels),
            }
        )
