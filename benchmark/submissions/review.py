"""Knowledge review: Chen, Liu, Zhao & Jia (2021), "Distilling knowledge via knowledge review", CVPR, arXiv:2104.09044.

    L   = CE(z_s, y) + min((e + 1) / E_w, 1) b sum_j HCL(U_j, t_j),  in epoch e, counted from 0
    x_j = g_1 conv1(s_j) + g_2 x_(j+1),  (g_1, g_2) = sigmoid(conv([conv1(s_j), x_(j+1)])) at every position
    U_j = conv2(x_j)
    HCL = sum over k of w_k mean (U - t)^2, both averaged to k x k positions;  the weights w are scaled to a sum of 1

The five levels j are the four stages and the vector that the classifier reads, as a map of one position. From the
deepest to the shallowest, the student's map is fused with what is left of the deeper ones (which is enlarged to its
grid), brought to the grid of the teacher's map, and compared with it: whole with weight 1, and averaged to 4 x 4, 2 x 2
and 1 x 1 positions, as far as these are fewer, with 1/2, 1/4 and so on. conv1 is 1x1 to the width of the student's
deepest level, but at most 512, and conv2 is 3x3, both with batch norm.

The paper leaves open how w is scaled; this file follows the authors' code. There b is .6 to 8, by the pair of networks,
with 5 for most and in mdistiller, and the warm-up takes 20 of 240 epochs. Here E_w is the same share of the epochs, so
a run of up to twelve epochs has no warm-up. In the code, the teacher's maps come from before the last ReLU of a stage.

The literature has it for pairs of CNNs. Here the maps of a ViT are its patch tokens after each quarter of the blocks,
which all have one grid. Maps are brought to another grid by the nearest position, as in the code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Shapes, Task, Term
from kdbench.blocks import check_numbers, full_precision

WIDEST = 512
SIDES = (4, 2, 1)  # of the averaged maps
MapShape = tuple[int, int, int]


class Fusion(nn.Module):
    """One level: fuses the student's map with those of deeper levels, and predicts the teacher's map.

    Args:
        student, teacher: shapes (F, h, w) of the maps.
        width: of the fused maps.
        deepest: whether there is no deeper level.
    """

    def __init__(self, student: MapShape, teacher: MapShape, width: int, *, deepest: bool) -> None:
        super().__init__()
        self.own_grid, self.grid = student[1:], teacher[1:]
        self.conv1 = nn.Sequential(nn.Conv2d(student[0], width, 1, bias=False), nn.BatchNorm2d(width))
        self.conv2 = nn.Sequential(nn.Conv2d(width, teacher[0], 3, padding=1, bias=False), nn.BatchNorm2d(teacher[0]))
        self.gates = None if deepest else nn.Conv2d(2 * width, 2, 1)
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_uniform_(layer.get_parameter("0.weight"), a=1)  # as in the authors' code

    def forward(self, feature_map: Tensor, deeper: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return U, (B, F_t, h_t, w_t), and x, (B, width, h_t, w_t), from which the next level goes on."""
        x = self.conv1(feature_map)
        if self.gates is not None and deeper is not None:
            deeper = resized(deeper, self.own_grid)
            gates = torch.sigmoid(self.gates(torch.cat([x, deeper], dim=1)))
            x = gates[:, :1] * x + gates[:, 1:] * deeper
        x = resized(x, self.grid)
        return self.conv2(x), x


def resized(feature_map: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return a map on a grid, whose positions take the values of the nearest ones."""
    return feature_map if feature_map.shape[2:] == grid else F.interpolate(feature_map, grid, mode="nearest")


@full_precision
def hcl_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return HCL of two (B, F, h, w) maps; no gradient flows to the teacher's."""
    teacher = teacher.detach()
    sides = [side for side in SIDES if side < teacher.shape[2]]
    weights = [0.5**k for k in range(len(sides) + 1)]
    losses = [F.mse_loss(student, teacher)]
    losses += [F.mse_loss(F.adaptive_avg_pool2d(student, k), F.adaptive_avg_pool2d(teacher, k)) for k in sides]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum() / sum(weights)


def review_losses(levels: Sequence[nn.Module], student: Sequence[Tensor], teacher: Sequence[Tensor]) -> list[Tensor]:
    """Return HCL of each level; levels and maps run from the deepest to the shallowest."""
    losses, x = [], None
    for level, own, target in zip(levels, student, teacher, strict=True):
        predicted, x = level(own, x)
        losses.append(hcl_loss(predicted, target))
    return losses


def shapes_of_levels(network: Shapes) -> list[MapShape]:
    """Return the shapes of the maps of a network, from the deepest level to the shallowest."""
    return [(network.pooled, 1, 1), *reversed(network.stages)]


def maps_of_levels(output: Output) -> list[Tensor]:
    """Return the maps of a network, from the deepest level to the shallowest."""
    return [output.pooled[:, :, None, None], *reversed(output.stages)]


class KnowledgeReview(Method):
    """Predict each of the teacher's maps from the student's maps of the same level and of all deeper ones."""

    name, paper, directions, beyond_paper = "review", "arXiv:2104.09044", ("cnn-to-cnn",), BOTH
    summary = "predicts each of the teacher's maps from the student's maps of its level and of deeper ones"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled", "stages"})

    @dataclass(frozen=True)
    class Config:
        """b of the equations above, and the share E_w / E of the epochs with a smaller weight."""

        review_weight: float = 5.0
        warm_up_share: float = 0.0833

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("review_weight", "warm_up_share"))

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        width = min(task.student.pooled, WIDEST)
        pairs = zip(shapes_of_levels(task.student), shapes_of_levels(task.teacher), strict=True)
        self.levels = nn.ModuleList(Fusion(*pair, width, deepest=not depth) for depth, pair in enumerate(pairs))

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        factor = min((self.run.epoch + 1) / max(self.config.warm_up_share * self.task.epochs, 1), 1)
        losses = review_losses(list(self.levels), maps_of_levels(student), maps_of_levels(teacher))
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "review": Term(torch.stack(losses).sum(), factor * self.config.review_weight),
        }
