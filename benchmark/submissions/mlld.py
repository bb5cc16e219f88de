"""Multi-level logit distillation: Jin, Wang & Lin (2023), "Multi-level logit distillation", CVPR.

    L          = a CE(z_s, y) + b sum_T [L_instance + L_batch + L_class],  T in {2, 3, 4, 5, 6}
    L_instance = T^2 KL(p_t || p_s)
    L_batch    = |P_t P_t' - P_s P_s'|^2 / B,  similarities of the images of a batch
    L_class    = |P_t' P_t - P_s' P_s|^2 / C,  similarities of the classes

P is the (B, C) matrix of the probabilities p = softmax(z / T). The paper calls the set of temperatures prediction
augmentation.

The authors' code adds much that the paper does not have: a second, strongly augmented view of each image, for which it
computes two of the three levels without using them, and whose divergences at T = 2 and 6 are those of the first view;
and masks of uncertain images and classes that only multiply the losses by about 0.5, because these are means already.
This file follows the paper's equations, with one view and without masks. T^2 and the defaults a = 0.1, b = 0.9 and the
temperatures are the code's, for CIFAR.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import EVERY, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision, kd_loss


@full_precision
def level_losses(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return L_instance, L_batch and L_class at one temperature.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        temperature: above 0; divides both logits.
    """
    student, teacher = (F.softmax(z / temperature, dim=1) for z in (student_logits, teacher_logits.detach()))
    batch = (teacher @ teacher.T - student @ student.T).square().sum() / len(student)
    classes = (teacher.T @ teacher - student.T @ student).square().sum() / student.shape[1]
    return kd_loss(student_logits, teacher_logits, temperature), batch, classes


class MultiLevel(Method):
    """Match probabilities, similarities of images and similarities of classes at several temperatures."""

    name, paper, directions = "mlld", "CVPR 2023", EVERY
    summary = "matches probabilities, similarities of images and of classes at several temperatures"
    images = "both networks see the images of the batch as they are"

    @dataclass(frozen=True)
    class Config:
        """`cross_entropy_weight` is a and `distill_weight` b of the equations above."""

        cross_entropy_weight: float = 0.1
        distill_weight: float = 0.9
        temperatures: tuple[float, ...] = (2.0, 3.0, 4.0, 5.0, 6.0)

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("cross_entropy_weight", "distill_weight"))
            if not self.temperatures or not all(0 < temperature < float("inf") for temperature in self.temperatures):
                raise ValueError(f"temperatures must be one or more numbers above 0, got {self.temperatures}")

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        weight = self.config.distill_weight
        levels = [level_losses(student.logits, teacher.logits, t) for t in self.config.temperatures]
        instance, images, classes = (sum(parts[1:], parts[0]) for parts in zip(*levels, strict=True))
        return {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels), self.config.cross_entropy_weight),
            "instance": Term(instance, weight),
            "batch": Term(images, weight),
            "class": Term(classes, weight),
        }
