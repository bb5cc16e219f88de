"""The independent student on the views of `capd`: a second pass over a randomly transformed copy of each batch.

    L = CE(z_s(x), y) + CE(z_s(x~), y)

x~ is the view that `capd` shows its student: with probability 1/2 an image is changed in colour, cropped, rotated and
masked, and otherwise it is unchanged. Such views by themselves can change a student's bias. A method file may not
import another one, so this file repeats the transformations; a test checks that both copies agree.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Method, Run

PATCH_STAGE = 2  # stage 3, counted from 0; in both networks its grid is that of the ViT's patches
COLOUR_STRENGTH = 0.4  # of saturation, contrast and brightness, in standard deviations of the normalised image
SMALLEST_CROP = 0.6  # share of the image's side
LARGEST_ROTATION = math.pi / 6  # radians in each direction
MASKED_SHARE = 0.2  # of the patches


def random_view(images: Tensor, patch_grid: tuple[int, int], probability: float) -> Tensor:
    """Return x~: with the given probability, transform each normalised image of (B, 3, H, W) in all four ways."""
    transformed = mask_patches(crop_and_rotate(jitter_colours(images)), patch_grid)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, transformed, images)


def jitter_colours(images: Tensor) -> Tensor:
    """Change saturation, contrast and brightness of each image by up to `COLOUR_STRENGTH`."""
    saturation, contrast, brightness = (_uniform(images, -COLOUR_STRENGTH, COLOUR_STRENGTH) for _ in range(3))
    images = images + saturation * (images - images.mean(dim=1, keepdim=True))
    return images + contrast * (images - images.mean(dim=(1, 2, 3), keepdim=True)) + brightness


def crop_and_rotate(images: Tensor) -> Tensor:
    """Return a random square of each image, rotated and scaled to the image's size; reflection fills the corners."""
    angle = _uniform(images, -LARGEST_ROTATION, LARGEST_ROTATION)[..., 0]
    side = _uniform(images, SMALLEST_CROP, 1)[..., 0]
    centre_x, centre_y = ((1 - side) * _uniform(images, -1, 1)[..., 0] for _ in range(2))
    y, x = (side * ((2 * torch.arange(n, device=images.device) + 1) / n - 1) for n in images.shape[-2:])
    y = y.transpose(1, 2)
    where = torch.stack(
        [angle.cos() * x - angle.sin() * y + centre_x, angle.sin() * x + angle.cos() * y + centre_y], dim=-1
    )
    return F.grid_sample(images, where, padding_mode="reflection", align_corners=False)


def mask_patches(images: Tensor, patch_grid: tuple[int, int]) -> Tensor:
    """Set each patch, with probability `MASKED_SHARE`, to 0, the mean colour of the training set."""
    kept = torch.rand(len(images), 1, *patch_grid, device=images.device) >= MASKED_SHARE
    return images * F.interpolate(kept.to(images.dtype), size=images.shape[-2:])


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """Draw a number in [low, high) for each image: (B, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device)


class IndependentViews(Method):
    """Train with cross-entropy on each image and on a view of it, with the same label."""

    name, paper = "independent-views", ""
    directions = EVERY
    summary = "independent on images and transformed views, those of capd"
    images = (
        "the student sees the images of the batch as they are, and views of half of them that are changed in colour, "
        "cropped, rotated or masked in part"
    )
    uses_teacher = False
    views = 2

    @dataclass(frozen=True)
    class Config:
        view_probability: float = 0.5

        def __post_init__(self) -> None:
            if not 0 <= self.view_probability <= 1:
                raise ValueError(f"view_probability must lie in [0, 1], got {self.view_probability}")

    config: Config

    def step(self, run: Run, batch: Batch) -> None:
        _, rows, columns = self.task.student.stages[PATCH_STAGE]
        view = random_view(batch.images, (rows, columns), self.config.view_probability)
        plain, transformed = run.student_forward(batch.images), run.student_forward(view)
        run.backward_and_step(
            {
                "cross_entropy": F.cross_entropy(plain.logits, batch.labels),
                "view_cross_entropy": F.cross_entropy(transformed.logits, batch.labels),
            }
        )
