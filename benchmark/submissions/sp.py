"""Similarity-preserving distillation: Tung & Mori (2019), "Similarity-preserving knowledge distillation", ICCV,
arXiv:1907.09682.

    L    = CE(z_s, y) + gamma L_sp
    L_sp = |G_t - G_s|^2 / B^2,  row i of G = row i of Q Q' divided by its length,  Q = the maps as B rows

The maps are the last ones before pooling. Their similarities are B x B numbers whatever their widths and grids, so a
CNN and a ViT need no alignment. Paper and code (RepDistiller, mdistiller) agree; gamma = 3000 is theirs.

The literature has it for pairs of CNNs, and among the guides of a ViT by a CNN (Li et al. 2022, arXiv:2207.10026,
where the maps are first enlarged to one grid). Nothing in it depends on the family of a network.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Term
from kdbench.blocks import check_numbers, full_precision


@full_precision
def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return L_sp of (B, ...) features of any two shapes; no gradient flows to the teacher's."""
    return F.mse_loss(similarities(student), similarities(teacher.detach()))


def similarities(features: Tensor) -> Tensor:
    """Return G, (B, B): the products of the features of each two images, every row scaled to length 1."""
    rows = features.flatten(1)
    return F.normalize(rows @ rows.T, dim=1)


class SimilarityPreserving(Method):
    """Match the similarities of the images of a batch."""

    name, paper, directions = "sp", "arXiv:1907.09682", ("cnn-to-cnn", "cnn-to-vit")
    beyond_paper = ("vit-to-cnn",)
    summary = "matches how similar the last maps of the images of a batch are"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "feature_map"})

    @dataclass(frozen=True)
    class Config:
        """`gamma` is the weight of the equations above."""

        gamma: float = 3000.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("gamma",))

    config: Config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "similarity": Term(sp_loss(student.feature_map, teacher.feature_map), self.config.gamma),
        }
