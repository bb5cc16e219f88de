"""NKD: Yang, Zeng, Li, Zhang, Yuan & Li (2023), "From knowledge distillation to self-knowledge distillation: a unified
approach with normalized loss and customized soft labels", ICCV, arXiv:2303.13005.

    L        = CE(z_s, y) + L_target + gamma T^2 L_others
    L_target = -mean p_t[y] log p_s[y], at temperature 1
    L_others = -mean sum_{c != y} n_t[c] log n_s[c]

p are the probabilities of the two networks, and n those of the other classes at temperature T, whose sum is 1.
Both parts are cross-entropies, which are not 0 for a student that equals its teacher.

Paper and authors' code agree. The defaults are the authors' for ImageNet, T = 1 and gamma = 1.5; they used T = 1 and
gamma = 1 for ViT students, and T = 3 and gamma = 3.5 on CIFAR-100.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, decouple, full_precision


@full_precision
def nkd_losses(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return L_target and T^2 L_others.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        labels: (B,) int64.
        temperature: above 0; divides the logits of the other classes.
    """
    teacher_logits = teacher_logits.detach()
    student_target, teacher_target = (decouple(z, labels, 1.0).target[:, 0] for z in (student_logits, teacher_logits))
    student_others, teacher_others = (decouple(z, labels, temperature).others for z in (student_logits, teacher_logits))
    target = -(teacher_target.exp() * student_target).mean()
    others = -(teacher_others.exp() * student_others).sum(dim=1).mean()
    return target, others * temperature**2


class Normalised(Method):
    """Match the teacher's probability of the true class, and its normalised probabilities of the others."""

    name, paper, directions = "nkd", "arXiv:2303.13005", EVERY
    summary = "matches the probability of the true class, and the normalised probabilities of the others"
    images = "both networks see the images of the batch as they are"
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`others_weight` is gamma and `temperature` T of the equations above; `target_weight` is 1 there."""

        target_weight: float = 1.0
        others_weight: float = 1.5
        temperature: float = 1.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("target_weight", "others_weight"), above_zero=("temperature",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        target, others = nkd_losses(student.logits, teacher.logits, batch.labels, self.config.temperature)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "target": Term(target, self.config.target_weight),
            "others": Term(others, self.config.others_weight),
        }
