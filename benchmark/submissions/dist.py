"""DIST: Huang, You, Wang, Qian & Xu (2022), "Knowledge distillation from a stronger teacher", NeurIPS,
arXiv:2205.10536.

    L       = CE(z_s, y) + beta L_inter + gamma L_intra
    L_inter = T^2 mean_i [1 - rho(p_s[i, :], p_t[i, :])],  over the images of the batch
    L_intra = T^2 mean_c [1 - rho(p_s[:, c], p_t[:, c])],  over the classes

rho is Pearson's correlation, and p = softmax(z / T). A student need not have the teacher's probabilities, but only
probabilities that rise and fall with them, from class to class (inter) and from image to image (intra).

The factor T^2 is in the authors' code, but not in the paper. This file follows the code, whose settings for CIFAR the
defaults are: T = 4 and beta = gamma = 2 (there, 1 within the loss and 2 in front of it).
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision

EPSILON = 1e-8  # added to the denominator of rho


def correlation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over rows of 1 minus Pearson's correlation of two (R, N) tensors."""
    student, teacher = (rows - rows.mean(dim=1, keepdim=True) for rows in (student, teacher))
    rho: Tensor = (student * teacher).sum(dim=1) / (student.norm(dim=1) * teacher.norm(dim=1) + EPSILON)
    return 1 - rho.mean()


@full_precision
def dist_losses(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return L_inter and L_intra.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        temperature: above 0; divides both logits.
    """
    student, teacher = (F.softmax(z / temperature, dim=1) for z in (student_logits, teacher_logits.detach()))
    inter, intra = correlation_loss(student, teacher), correlation_loss(student.T, teacher.T)
    return inter * temperature**2, intra * temperature**2


class StrongerTeacher(Method):
    """Correlate with the teacher's probabilities, over classes and over images."""

    name, paper, directions = "dist", "arXiv:2205.10536", EVERY
    summary = "probabilities correlate with the teacher's, over classes and over images"
    images = "both networks see the images of the batch as they are"

    @dataclass(frozen=True)
    class Config:
        """`inter_weight` is beta, `intra_weight` gamma, and `temperature` T of the equations above."""

        inter_weight: float = 2.0
        intra_weight: float = 2.0
        temperature: float = 4.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("inter_weight", "intra_weight"), above_zero=("temperature",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        inter, intra = dist_losses(student.logits, teacher.logits, self.config.temperature)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "inter": Term(inter, self.config.inter_weight),
            "intra": Term(intra, self.config.intra_weight),
        }
