"""Neuron selectivity transfer: Huang & Wang (2017), "Like what you like: knowledge distill via neuron selectivity
transfer", arXiv:1707.01219.

    L     = CE(z_s, y) + lambda sum_j L_nst(stage j),  over the last three stages
    L_nst = mean k(t_c, t_d) + mean k(s_c, s_d) - 2 mean k(t_c, s_d),  k(x, y) = (x . y)^2,  over images and channels

s_c and t_d are the channels of the two maps as vectors over the positions of an image, scaled to length 1. L_nst is the
squared maximum mean discrepancy of the two sets of channels, so the networks may have different numbers of them. The
finer of two maps is first averaged to the grid of the coarser one.

The paper has lambda / 2; RepDistiller and mdistiller have lambda, and this file follows them, because lambda = 50 is
theirs. They also average the finer map; the paper needs equal grids.

The literature has it for pairs of CNNs. Here the maps of a ViT are its patch tokens after each quarter of the blocks,
before the final norm. The square of the kernel makes no difference between a channel and its negative.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision, on_common_grid

FIRST_STAGE = 1  # of the four, counted from 0


@full_precision
def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_nst of (B, F_s, h_s, w_s) and (B, F_t, h_t, w_t) maps; no gradient flows to the teacher's."""
    student, teacher = map(selectivities, on_common_grid(student, teacher.detach()))
    return kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)


def selectivities(feature_map: Tensor) -> Tensor:
    """Return the channels of a (B, F, h, w) map as vectors of length 1, (B, F, h * w)."""
    return F.normalize(feature_map.flatten(2), dim=2)


def kernel(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean of k over images and pairs of channels, of (B, F, N) and (B, G, N) vectors."""
    return (first @ second.transpose(1, 2)).square().mean()


class NeuronSelectivity(Method):
    """Match the distribution of the channels, each of which shows what a neuron selects."""

    name, paper, directions, beyond_paper = "nst", "arXiv:1707.01219", ("cnn-to-cnn",), BOTH
    summary = "matches the distributions of the channels of the last three stages"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "stages"})
    per_sample = True

    @dataclass(frozen=True)
    class Config:
        """`selectivity_weight` is lambda of the equations above."""

        selectivity_weight: float = 50.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("selectivity_weight",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        pairs = zip(student.stages[FIRST_STAGE:], teacher.stages[FIRST_STAGE:], strict=True)
        losses = [nst_loss(*maps) for maps in pairs]
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "selectivity": Term(sum(losses[1:], losses[0]), self.config.selectivity_weight),
        }
