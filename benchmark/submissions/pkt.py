"""Probabilistic knowledge transfer: Passalis & Tefas (2018), "Learning deep representations with probabilistic
knowledge transfer", ECCV, arXiv:1803.10837.

    L     = CE(z_s, y) + beta L_pkt
    L_pkt = mean_ij p_ij log(p_ij / q_ij),  p_ij = K_ij / sum_j K_ij,  K_ij = (cos(f_i, f_j) + 1) / 2

p are the teacher's and q the student's probabilities that image i has image j as its neighbour, computed from the
vectors f that the classifiers read.

The paper sums over pairs of different images. The authors' code takes the mean over all B^2 pairs, with every image
as a neighbour of itself, and adds 1e-7 to norms and within logarithms. This file follows the code, because beta =
30000, the value of RepDistiller and mdistiller, belongs to it. For a vector of zeros, the gradient of their code is
NaN; here it is 0. The authors train without labels, and RepDistiller adds the cross-entropy.

The literature has it for pairs of CNNs. Nothing in it depends on the family of a network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision

EPSILON = 1e-7


@full_precision
def pkt_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_pkt of (B, F_s) and (B, F_t) vectors; no gradient flows to the teacher's."""
    p, q = neighbours(teacher.detach()), neighbours(student)
    return (p * ((p + EPSILON) / (q + EPSILON)).log()).mean()


def neighbours(vectors: Tensor) -> Tensor:
    """Return the probabilities (B, B) of (B, F) vectors; every row has the sum 1."""
    squares = vectors.square().sum(dim=1, keepdim=True)
    norms = torch.where(squares > 0, squares, 1).sqrt()  # a root of 0 would have no gradient
    directions = vectors / (norms + EPSILON)
    kernel = (directions @ directions.T + 1) / 2
    return kernel / kernel.sum(dim=1, keepdim=True)


class ProbabilisticTransfer(Method):
    """Match the probabilities with which the images of a batch are neighbours."""

    name, paper, directions, beyond_paper = "pkt", "arXiv:1803.10837", ("cnn-to-cnn",), BOTH
    summary = "matches which images of a batch are neighbours, by the cosines of feature vectors"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled"})

    @dataclass(frozen=True)
    class Config:
        """`beta` is the weight of the equations above."""

        beta: float = 30000.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("beta",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "neighbours": Term(pkt_loss(student.pooled, teacher.pooled), self.config.beta),
        }
