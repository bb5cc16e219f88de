"""OFA-KD: Hao, Guo, Han, Hu, Xu & Wang (2023), "One-for-all: bridge the gap between heterogeneous architectures in
knowledge distillation", NeurIPS, arXiv:2310.19444.

    L       = CE(z_s, y) + a L_ofa(z_s) + b sum_j L_ofa(z_j)
    L_ofa(z) = -mean sum_c w_c log p[c],  w_y = (1 + p_t[y])^g - 1,  w_c = p_t[c]^g for c != y

p = softmax(z / T), and p_t are the teacher's probabilities. z_j are the logits of a branch on the student's stage j,
one for each of the four stages; branches are trained with the student and discarded. So stages are compared with the
teacher in the space of the logits, where families do not differ.

- CNN: depthwise separable convolutions halve the grid and double the width until the last stage, then an average over
  positions and a linear layer. The fourth stage has a 1x1 convolution instead.
- ViT: 2 x 2 tokens are merged until the grid has less than 14 x 14; then transformer blocks, as many as quarters of the
  network are left but at least one, the mean over tokens and a linear layer. OFA-KD can read the class token instead,
  which the stages here do not have, and the stages after blocks 2, 4, 10 and 12.

In the paper w_y is (1 + p_t[y])^g, and the other classes have no exponent. The authors' code subtracts the 1, which CE
contains, and has the exponent for all classes. This file follows the code, with its defaults a = b = T = g = 1. At
g = 1 paper and code differ by CE alone.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Losses, Method, Output, Task, Term
from kdbench.blocks import check_numbers, full_precision

HEADS = 4  # of a branch's transformer blocks
MERGED_SIDE = 7  # grids of at least twice this are merged


@full_precision
def ofa_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, exponent: float, temperature: float
) -> Tensor:
    """Return L_ofa.

    Args:
        student_logits: (B, C) float.
        teacher_logits: (B, C) float; no gradient flows to it.
        labels: (B,) int64.
        exponent: g, above 0.
        temperature: above 0; divides both logits.
    """
    teacher = F.softmax(teacher_logits.detach() / temperature, dim=1)
    is_label = F.one_hot(labels, teacher.shape[1])
    weights = (teacher + is_label).pow(exponent) - is_label
    return -(weights * F.log_softmax(student_logits / temperature, dim=1)).sum(dim=1).mean()


class SeparableConvolution(nn.Module):
    """Halves the grid of a (B, F, h, w) map and gives it `channels`."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.op = nn.Sequential(*_separable(width, width, stride=2), *_separable(width, channels, stride=1))

    def forward(self, feature_map: Tensor) -> Tensor:
        result: Tensor = self.op(feature_map)
        return result


def _separable(width: int, channels: int, stride: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=width, bias=False)
    return [depthwise, nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]


class PatchMerging(nn.Module):
    """Merges 2 x 2 tokens of a (B, D, g, g) grid of tokens into one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        tiles = [tokens[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged = self.reduction(self.norm(torch.cat(tiles, dim=1).movedim(1, -1)))
        return F.gelu(merged).movedim(-1, 1)


class Tokens(nn.Module):
    """Turns a (B, D, g, g) grid of tokens into a sequence (B, g * g, D)."""

    def forward(self, grid: Tensor) -> Tensor:
        return grid.flatten(2).transpose(1, 2)


class MeanToken(nn.Module):
    """Averages a sequence (B, N, D) of tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1)


def cnn_branch(width: int, halvings: int, channels: int, num_classes: int) -> nn.Sequential:
    """Return a branch on a stage of a CNN, which ends in `channels` features and a classifier."""
    widths = [width * 2**k for k in range(halvings)] + [channels]
    layers: list[nn.Module] = [SeparableConvolution(*pair) for pair in pairwise(widths)]
    layers = layers or [nn.Conv2d(width, channels, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))


def vit_branch(width: int, side: int, depth: int, num_classes: int) -> nn.Sequential:
    """Return a branch of `depth` blocks on a (B, width, side, side) grid of tokens.

    Raises:
        ValueError: the width is no multiple of the number of heads, or the grid cannot be merged.
    """
    merges = max(int(math.log2(side / MERGED_SIDE)), 0)
    if side % 2**merges or width % HEADS:
        raise ValueError(f"a branch needs a width that {HEADS} divides and a side of the grid that {2**merges} divides")
    merging = nn.Sequential(*(PatchMerging(width) for _ in range(merges)))
    blocks = nn.Sequential(*(transformer_block(width) for _ in range(depth)))
    return nn.Sequential(merging, Tokens(), blocks, MeanToken(), nn.Linear(width, num_classes))


def transformer_block(width: int) -> nn.TransformerEncoderLayer:
    """Return a block with norms in front, GELU, and no biases of queries, keys and values."""
    block = nn.TransformerEncoderLayer(
        width, HEADS, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    block.self_attn.register_parameter("in_proj_bias", None)
    return block


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """Initialise the weights of a module as the official code does; apply it to every submodule."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.MultiheadAttention):
        nn.init.trunc_normal_(module.in_proj_weight, std=0.02)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


class OneForAll(Method):
    """Match the teacher's probabilities with the student's, and with those of a branch on each of its stages."""

    name, paper, directions = "ofa", "arXiv:2310.19444", BOTH
    summary = "class probabilities of the student and of a branch on each of its stages match the teacher's"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "stages"})

    @dataclass(frozen=True)
    class Config:
        """Of the equations above: a, b, g and T."""

        distill_weight: float = 1.0
        branch_weight: float = 1.0
        exponent: float = 1.0
        temperature: float = 1.0

        def __post_init__(self) -> None:
            check_numbers(self, from_zero=("distill_weight", "branch_weight"), above_zero=("exponent", "temperature"))

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        student, channels = task.student, max(task.student.pooled, task.teacher.pooled)
        self.branches = nn.ModuleList()
        for stage, (width, side, _) in enumerate(student.stages):
            left = len(student.stages) - 1 - stage
            self.branches.append(
                cnn_branch(width, left, channels, task.num_classes)
                if student.family == "cnn"
                else vit_branch(width, side, max(left, 1), task.num_classes)
            )
        self.branches.apply(initialise)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        config = self.config

        def compared(logits: Tensor) -> Tensor:
            return ofa_loss(logits, teacher.logits, batch.labels, config.exponent, config.temperature)

        branches = [compared(branch(stage)) for branch, stage in zip(self.branches, student.stages, strict=True)]
        return {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "distillation": Term(compared(student.logits), config.distill_weight),
            "branches": Term(torch.stack(branches).sum(), config.branch_weight),
        }
