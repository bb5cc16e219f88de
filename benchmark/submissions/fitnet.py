"""FitNets: Romero, Ballas, Kahou, Chassang, Gatta & Bengio (2015), "FitNets: hints for thin deep nets", ICLR,
arXiv:1412.6550, between a CNN and a ViT as OFA-KD has it: Hao et al. (2023), NeurIPS, arXiv:2310.19444.

    L = CE(z_s, y) + a T^2 KL(softmax(z_t / T) || softmax(z_s / T)) + b sum_j L_hint(stage j),  over the four stages
    L_hint = mean (r(s) - t)^2

r is a trained layer that gives the student's map s the shape of the teacher's map t. If the student's grid is k times
finer, it is a convolution with kernel and stride k. If it is k times coarser, every position of s predicts the k x k
positions of t that it covers, by a 1x1 convolution.

Departures:

- The paper has 1/2 of a sum in place of a mean, for one layer, and trains in two stages: first the lower half of the
  student on the hint, then all of it by distillation. OFA-KD trains once, with all terms, and this file follows it. Its
  authors published these layers r in issue 10 of their repository; its own file is for two CNNs.
- OFA-KD reads a ViT after its blocks 2, 4, 10 and 12; the stages here are quarters of the blocks. The class token is
  left out, as there.
- Nothing follows the convolution. RepDistiller's batch norm and ReLU cannot give the negative values of a ViT.

Defaults are OFA-KD's: a = 1, T = 1, b = 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, kd_loss

MapShape = tuple[int, int, int]


class Regressor(nn.Module):
    """The layer r, from maps of one shape to maps of another.

    Args:
        student, teacher: shapes (F, h, w) of the maps.

    Raises:
        ValueError: neither grid is a multiple of the other, by one factor for both sides.
    """

    def __init__(self, student: MapShape, teacher: MapShape) -> None:
        super().__init__()
        (width, height, _), (channels, target_height, _) = student, teacher
        finer, coarser = max(height // target_height, 1), max(target_height // height, 1)
        if any(side * coarser != target * finer for side, target in zip(student[1:], teacher[1:], strict=True)):
            raise ValueError(f"the grids {student[1:]} and {teacher[1:]} of a stage are not multiples of each other")
        self.factor = coarser
        self.convolution = nn.Conv2d(width, channels * coarser**2, kernel_size=finer, stride=finer)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (B, F_s, h_s, w_s) to (B, F_t, h_t, w_t)."""
        predicted: Tensor = self.convolution(feature_map)
        return F.pixel_shuffle(predicted, self.factor)


class FitNet(Method):
    """Regress on the teacher's maps of all stages, and match its probabilities."""

    name, paper, directions = "fitnet", "arXiv:1412.6550", (*BOTH, "cnn-to-cnn")
    summary = "regresses on the teacher's maps of all four stages, and matches its class probabilities"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "stages"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`hint_weight` is b, `distill_weight` a, and `temperature` T of the equations above."""

        hint_weight: float = 1.0
        distill_weight: float = 1.0
        temperature: float = 1.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("hint_weight", "distill_weight"), above_zero=("temperature",))

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        pairs = zip(task.student.stages, task.teacher.stages, strict=True)
        self.regressors = nn.ModuleList(Regressor(*shapes) for shapes in pairs)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        stages = zip(self.regressors, student.stages, teacher.stages, strict=True)
        hints = [F.mse_loss(regressor(guided), hint) for regressor, guided, hint in stages]
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "distillation": Term(
                kd_loss(student.logits, teacher.logits, self.config.temperature), self.config.distill_weight
            ),
            "hints": Term(torch.stack(hints).sum(), self.config.hint_weight),
        }
