"""MGD: Yang, Li, Shao, Shi, Yuan & Yuan (2022), "Masked generative distillation", ECCV, arXiv:2205.01529.

    L     = CE(z_s, y) + alpha L_mgd
    L_mgd = |t - G(M A(s))|^2 / B

A part of the student's last map s must suffice to generate the teacher's last map t. A is a 1x1 convolution to the
teacher's channels, M drops each channel of an image with probability `mask_share`, and G is a 3x3 convolution, a ReLU
and another 3x3 convolution; A and G are trained with the student. |.|^2 sums over all values.

The paper drops positions; the authors' code for classification drops channels, and this file follows the code, to
which the defaults belong. These are its values for CIFAR: alpha = 1.2e-3 and a share of .15. Its alpha for ImageNet,
whose maps have more values, is 7e-5. The code leaves A out where the widths of the networks are equal, as here.

The literature has it for pairs of CNNs, whose grids are equal. Here the student's map is first brought to the teacher's
grid: a finer one is averaged, and the positions of a coarser one are repeated. The map of a ViT are its patch tokens
after the final norm.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, full_precision


class Generator(nn.Module):
    """G(M A(s)): predicts the teacher's map from a part of the student's.

    Args:
        student, teacher: numbers of channels.
    """

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.align = nn.Identity() if student == teacher else nn.Conv2d(student, teacher, 1)
        self.generation = nn.Sequential(
            nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(), nn.Conv2d(teacher, teacher, 3, padding=1)
        )

    def forward(self, feature_map: Tensor, mask: Tensor) -> Tensor:
        """Return a (B, F_t, h, w) map from the student's (B, F_s, h, w) map and a (B, F_t, 1, 1) mask of 0 and 1."""
        generated: Tensor = self.generation(self.align(feature_map) * mask)
        return generated


@full_precision
def mgd_loss(generated: Tensor, teacher: Tensor) -> Tensor:
    """Return L_mgd of two (B, F, h, w) maps; no gradient flows to the teacher's."""
    return F.mse_loss(generated, teacher.detach(), reduction="sum") / len(teacher)


def on_grid(feature_map: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Return a map on a grid: a finer one is averaged, and the positions of a coarser one are repeated."""
    sides = feature_map.shape[2:]
    averaged = F.adaptive_avg_pool2d(feature_map, (min(sides[0], grid[0]), min(sides[1], grid[1])))
    return averaged if averaged.shape[2:] == grid else F.interpolate(averaged, grid, mode="nearest")


class MaskedGeneration(Method):
    """Generate the teacher's last map from a part of the student's."""

    name, paper, directions, beyond_paper = "mgd", "arXiv:2205.01529", ("cnn-to-cnn",), BOTH
    summary = "generates the teacher's last map from a random part of the channels of the student's"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "feature_map"})

    @dataclass(frozen=True)
    class Config:
        """`alpha` of the equations above, and the share of the channels that are dropped."""

        alpha: float = 1.2e-3
        mask_share: float = 0.15

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("alpha", "mask_share"))
            if self.mask_share >= 1:
                raise ValueError(f"mask_share must lie in [0, 1), got {self.mask_share}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.channels = task.teacher.feature_map[0]
        self.generator = Generator(task.student.feature_map[0], self.channels)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        drawn = torch.rand(len(batch.images), self.channels, 1, 1, device=batch.images.device)
        feature_map = on_grid(student.feature_map, teacher.feature_map.shape[2:])
        generated = self.generator(feature_map, drawn >= self.config.mask_share)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "generation": Term(mgd_loss(generated, teacher.feature_map), self.config.alpha),
        }
