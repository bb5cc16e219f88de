"""Variational information distillation: Ahn, Hu, Damianou, Lawrence & Dai (2019), "Variational information distillation
for knowledge transfer", CVPR, arXiv:1904.05835.

    L     = CE(z_s, y) + lambda sum_j L_vid(stage j),  over the last three stages
    L_vid = mean 1/2 [(t - mu(s))^2 / sigma_c^2 + log sigma_c^2],  sigma_c^2 = softplus(alpha_c) + 1e-5

L_vid is the negative log-likelihood, up to a constant, of the teacher's map t under a normal distribution whose mean is
predicted from the student's map s, with one variance for each channel c of the teacher. mu is three 1x1 convolutions
without biases, with ReLU between them, and is trained with alpha. L_vid may be negative. The finer of two maps is first
averaged to the grid of the coarser one.

The paper sums over positions; RepDistiller and mdistiller take the mean, and this file follows them, because lambda = 1
is theirs. mdistiller never trains alpha, as the paper does; this file and RepDistiller do. Every sigma^2 starts at 5.

The literature has it for pairs of CNNs. Here the maps of a ViT are its patch tokens after each quarter of the blocks,
before the final norm. mu ends in a convolution, so it can predict their negative values.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, full_precision, on_common_grid

FIRST_STAGE = 1  # of the four, counted from 0
LEAST_VARIANCE = 1e-5


class Predictor(nn.Module):
    """The distribution of a map of the teacher, given one of the student.

    Args:
        student, teacher: numbers of channels.
        variance: of every channel at the start.
    """

    def __init__(self, student: int, teacher: int, variance: float) -> None:
        super().__init__()
        widths = (student, teacher, teacher, teacher)
        convolutions = [nn.Conv2d(*pair, kernel_size=1, bias=False) for pair in pairwise(widths)]
        self.mean = nn.Sequential(convolutions[0], nn.ReLU(), convolutions[1], nn.ReLU(), convolutions[2])
        self.alpha = nn.Parameter(torch.full((teacher,), math.log(math.expm1(variance - LEAST_VARIANCE))))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return L_vid of (B, F_s, h_s, w_s) and (B, F_t, h_t, w_t) maps; no gradient flows to the teacher's."""
        student, teacher = on_common_grid(student, teacher.detach())
        return normal_loss(self.mean(student), teacher, F.softplus(self.alpha) + LEAST_VARIANCE)


@full_precision
def normal_loss(mean: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the mean negative log-likelihood, up to a constant, of (B, F, h, w) targets with (F,) variances."""
    variance = variance[:, None, None]
    return ((mean - target).square() / variance + variance.log()).mean() / 2


class VariationalInformation(Method):
    """Predict the teacher's maps from the student's, with a variance for each channel."""

    name, paper, directions, beyond_paper = "vid", "arXiv:1904.05835", ("cnn-to-cnn",), BOTH
    summary = "predicts the teacher's maps from the student's, with a variance for each channel"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "stages"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`information_weight` is lambda of the equations above, and `initial_variance` sigma^2 at the start."""

        information_weight: float = 1.0
        initial_variance: float = 5.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("information_weight",), above_zero=("initial_variance",))
            if self.initial_variance <= LEAST_VARIANCE:
                raise ValueError(f"initial_variance must be above {LEAST_VARIANCE}, got {self.initial_variance}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        pairs = zip(task.student.stages[FIRST_STAGE:], task.teacher.stages[FIRST_STAGE:], strict=True)
        self.predictors = nn.ModuleList(
            Predictor(student[0], teacher[0], config.initial_variance) for student, teacher in pairs
        )

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        stages = zip(self.predictors, student.stages[FIRST_STAGE:], teacher.stages[FIRST_STAGE:], strict=True)
        losses = [predictor(*maps) for predictor, *maps in stages]
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "information": Term(sum(losses[1:], losses[0]), self.config.information_weight),
        }
