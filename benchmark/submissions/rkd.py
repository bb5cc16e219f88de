"""Relational distillation: Park, Kim, Lu & Cho (2019), "Relational knowledge distillation", CVPR, arXiv:1904.05068.

    L       = CE(z_s, y) + w_D L_dist + w_A L_angle
    L_dist  = mean_ij  h(psi_t(i, j) - psi_s(i, j)),  psi(i, j) = |f_i - f_j| / mu
    L_angle = mean_ijk h(cos_t(i, j, k) - cos_s(i, j, k)),  the cosine of the angle at j between i and k

f are the vectors that the classifiers read, mu is the mean of the distances in the batch that are not 0, and h is the
Huber loss with delta 1. Only relations between images are compared, so the two networks need no common space.

The paper sums over pairs and triples of different images. The authors' code takes means over all B^2 pairs and all B^3
triples; those in which an image meets itself add 0. This file follows the code, because its weights belong to means:
w_D = 25 and w_A = 50, with which RepDistiller and OFA-KD (Hao et al. 2023, arXiv:2310.19444; a CNN and a ViT in both
roles) train classifiers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision

LEAST_SQUARE = 1e-12  # of a distance


@full_precision
def rkd_losses(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return L_dist and L_angle of (B, F_s) and (B, F_t) vectors; no gradient flows to the teacher's."""
    teacher = teacher.detach()
    distance = F.smooth_l1_loss(relative_distances(student), relative_distances(teacher))
    return distance, F.smooth_l1_loss(cosines(student), cosines(teacher))


def relative_distances(vectors: Tensor) -> Tensor:
    """Return psi, (B, B): the distances of (B, F) vectors, divided by the mean of those that are not 0."""
    squares = (vectors[None] - vectors[:, None]).square().sum(dim=2)
    others = 1 - torch.eye(len(vectors), device=vectors.device, dtype=vectors.dtype)
    distances = squares.clamp(min=LEAST_SQUARE).sqrt() * others
    return distances / (distances.sum() / others.sum().clamp(min=1))


def cosines(vectors: Tensor) -> Tensor:
    """Return the cosines at j between i and k as [j, i, k], (B, B, B); 0 where two of the three are one point."""
    differences = vectors[None] - vectors[:, None]
    squares = differences.square().sum(dim=2, keepdim=True)
    directions = differences / torch.where(squares > 0, squares, 1).sqrt()  # a root of 0 would have no gradient
    return directions @ directions.transpose(1, 2)


class Relational(Method):
    """Match the distances and the angles between the images of a batch."""

    name, paper, directions = "rkd", "arXiv:1904.05068", (*BOTH, "cnn-to-cnn")
    summary = "matches distances and angles between the feature vectors of a batch"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled"})

    @dataclass(frozen=True)
    class Config:
        """`distance_weight` is w_D and `angle_weight` w_A of the equations above."""

        distance_weight: float = 25.0
        angle_weight: float = 50.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("distance_weight", "angle_weight"))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        distance, angle = rkd_losses(student.pooled, teacher.pooled)
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "distance": Term(distance, self.config.distance_weight),
            "angle": Term(angle, self.config.angle_weight),
        }
