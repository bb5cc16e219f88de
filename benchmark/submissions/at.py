"""Attention transfer: Zagoruyko & Komodakis (2017), "Paying more attention to attention", ICLR, arXiv:1612.03928.

    L    = CE(z_s, y) + beta sum_j L_at(stage j),  over the last three stages
    L_at = mean (q_s - q_t)^2,  q = Q / |Q|,  Q = sum over channels of |A|^p at every position of a map A

q says where in an image a network's features are large. The finer of two maps is averaged to the grid of the coarser
one.

The paper has beta / 2 times the length of q_s - q_t; the authors' code, RepDistiller and mdistiller have the mean of
its squares. This file follows the code, to which beta = 1000 belongs. RepDistiller and mdistiller average the finer
map; the authors' code needs equal grids. p = 2, and the stages, are those of all of them.

The literature has it for pairs of CNNs, and among the guides of a ViT by a CNN (Li et al. 2022, arXiv:2207.10026).
Here the maps of a ViT are its patch tokens after each quarter of the blocks, before the final norm; their signs do
not matter.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision, on_common_grid

FIRST_STAGE = 1  # of the four, counted from 0


@full_precision
def at_loss(student: Tensor, teacher: Tensor, power: float) -> Tensor:
    """Return L_at of two maps.

    Args:
        student: (B, F_s, h_s, w_s) float.
        teacher: (B, F_t, h_t, w_t) float; no gradient flows to it.
        power: p, at least 1.
    """
    student, teacher = on_common_grid(student, teacher.detach())
    return F.mse_loss(attention(student, power), attention(teacher, power))


def attention(feature_map: Tensor, power: float) -> Tensor:
    """Return q of a (B, F, h, w) map: (B, h * w), of length 1."""
    return F.normalize(feature_map.abs().pow(power).mean(dim=1).flatten(1), dim=1)


class AttentionTransfer(Method):
    """Match where in an image features are large."""

    name, paper, directions = "at", "arXiv:1612.03928", ("cnn-to-cnn", "cnn-to-vit")
    beyond_paper = ("vit-to-cnn",)
    summary = "matches where in an image the features of the last three stages are large"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "stages"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`beta` is the weight and `power` p of the equations above."""

        beta: float = 1000.0
        power: float = 2.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("beta",), above_zero=("power",))
            if self.power < 1:  # the gradient at a value of 0 would be infinite
                raise ValueError(f"power must be at least 1, got {self.power}")

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        pairs = zip(student.stages[FIRST_STAGE:], teacher.stages[FIRST_STAGE:], strict=True)
        losses = [at_loss(*maps, self.config.power) for maps in pairs]
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "attention": Term(sum(losses[1:], losses[0]), self.config.beta),
        }
