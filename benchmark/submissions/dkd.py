"""DKD: Zhao, Cui, Song, Qiu & Liang (2022), "Decoupled knowledge distillation", CVPR, arXiv:2203.08679.

    L      = CE(z_s, y) + min((e + 1) / E_w, 1) (alpha L_tckd + beta L_nckd),  in epoch e, counted from 0
    L_tckd = T^2 KL over (true class, all others together)
    L_nckd = T^2 KL over the other classes, whose probabilities are scaled to a sum of 1

Both divergences run from the teacher to the student, at temperature T. Ordinary distillation is L_tckd plus L_nckd
times the teacher's probability of the other classes, which is small where the teacher is sure; DKD sets both weights
itself.

Paper and code (mdistiller) agree. The defaults are the code's for CIFAR-100: alpha = 1, beta = 8, T = 4. Its warm-up
takes 20 of 240 epochs; here E_w is the same share of the epochs, so a run of up to twelve epochs has no warm-up.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, decouple, full_precision


@full_precision
def dkd_losses(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return L_tckd and L_nckd.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        labels: (B,) int64.
        temperature: above 0; divides both logits.
    """
    student = decouple(student_logits, labels, temperature)
    teacher = decouple(teacher_logits.detach(), labels, temperature)
    target, others = (
        F.kl_div(mine, theirs, reduction="batchmean", log_target=True) * temperature**2
        for mine, theirs in zip(student, teacher, strict=True)
    )
    return target, others


def warm_up(epoch: int, epochs: int, share: float) -> float:
    """Return the factor of the distillation in an epoch, counted from 0; it reaches 1 after a share of the epochs."""
    return min((epoch + 1) / (share * epochs), 1.0) if share else 1.0


class Decoupling(Method):
    """Match the probability of the true class and those of the others with weights of their own."""

    name, paper, directions = "dkd", "arXiv:2203.08679", EVERY
    summary = "matches the probability of the true class and those of the others, each with its own weight"
    images = "both networks see the images of the batch as they are"
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """alpha, beta and T of the equations above, and the share E_w / E of the epochs with a smaller weight."""

        target_weight: float = 1.0
        others_weight: float = 8.0
        temperature: float = 4.0
        warm_up_share: float = 0.0833

        def __post_init__(self) -> None:
            weights = ("target_weight", "others_weight", "warm_up_share")
            check_numbers(self, from_zero=weights, above_zero=("temperature",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        config, factor = self.config, warm_up(self.run.epoch, self.task.epochs, self.config.warm_up_share)
        target, others = dkd_losses(student.logits, teacher.logits, batch.labels, config.temperature)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "target": Term(target, factor * config.target_weight),
            "others": Term(others, factor * config.others_weight),
        }
