"""The independent student on the views of `capd`: a second pass over a randomly transformed copy of each batch.

    L = CE(z_s(x), y) + CE(z_s(x~), y)

x~ is what `capd` shows its student there: with probability 1/2 an image is changed in colour, cropped, rotated and
masked, else it is itself. Such views by themselves can change what a student goes by. A method file imports no other,
so the transformations stand here again; a test holds the two together.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import Batch, Method, Run

PATCH_STAGE = 2  # stage 3, counted from 0: its grid is that of the ViT's patches, in either network
COLOUR_STRENGTH = 0.4  # of saturation, contrast and brightness, in standard deviations of the normalised image
SMALLEST_CROP = 0.6  # share of the image's side
LARGEST_ROTATION = math.pi / 6  # radians, each way
MASKED_SHARE = 0.2  # of the patches


def random_view(images: Tensor, patch_grid: tuple[int, int], probability: float) -> Tensor:
    """x~: each normalised image of (B, 3, H, W) with the given probability transformed in all ways, else itself."""
    transformed = mask_patches(crop_and_rotate(jitter_colours(images)), patch_grid)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, transformed, images)


def jitter_colours(images: Tensor) -> Tensor:
    """Saturation, contrast and brightness of each image, changed by up to `COLOUR_STRENGTH`."""
    saturation, contrast, brightness = (_uniform(images, -COLOUR_STRENGTH, COLOUR_STRENGTH) for _ in range(3))
    images = images + saturation * (images - images.mean(dim=1, keepdim=True))
    return images + contrast * (images - images.mean(dim=(1, 2, 3), keepdim=True)) + brightness


def crop_and_rotate(images: Tensor) -> Tensor:
    """A square of each image, turned about its centre and scaled to the image's size; beyond the edge, reflections."""
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
    """About `MASKED_SHARE` of the patches of each image set to 0, the mean colour of the training set."""
    kept = torch.rand(len(images), 1, *patch_grid, device=images.device) >= MASKED_SHARE
    return images * F.interpolate(kept.to(images.dtype), size=images.shape[-2:])


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """(B, 1, 1, 1): a number in [low, high) for each image."""
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device)


class IndependentViews(Method):
    """Cross-entropy on each image and on a view of it, with the same label."""

    name, paper = "independent-views", ""
    directions = ("cnn-to-vit", "vit-to-cnn", "cnn-to-cnn", "vit-to-vit")
    summary = "independent on images and transformed views, those of capd"
    uses_teacher = False

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
