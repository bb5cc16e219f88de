"""The submission contract: everything that a method file may import from kdbench.

A method is one Python file with one subclass of `Method`. The smallest one defines the class variables, a frozen
`Config` and `loss`; the harness owns data, optimiser, schedule, precision, budget and evaluation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from kdbench.spec.vocabulary import Direction, Family

BOTH: tuple[Direction, ...] = ("cnn-to-vit", "vit-to-cnn")
OutputField = Literal["logits", "pooled", "feature_map", "dense_logits", "stages", "attention"]


class Term(NamedTuple):
    """One part of a loss: the scalar `value` as its paper defines it, and the `weight` it enters the sum with."""

    value: Tensor
    weight: float = 1.0


Losses = Tensor | Mapping[str, Tensor | Term]


@dataclass(frozen=True)
class Batch:
    """One training batch.

    Attributes:
        images: (B, 3, H, W) float, augmented and normalised; the same tensor goes to teacher and student.
        labels: (B,) int64 in [0, num_classes).
        index: (B,) int64, positions in the training set; unique within a batch.
    """

    images: Tensor
    labels: Tensor
    index: Tensor


@dataclass(frozen=True)
class Output:
    """What a backbone says about B images; the same names for CNN and ViT.

    Fields that the method does not list in `needs` are None.

    Attributes:
        logits: (B, C) float.
        pooled: (B, F) the vector the classifier reads: global average (CNN), class token after the final norm (ViT).
        feature_map: (B, F, h, w) the last map: stage 4 (CNN), patch tokens after the final norm on their grid (ViT).
        dense_logits: (B, C, h, w) what the network's own classifier says at every position of `feature_map`; for a CNN
            their mean over positions is `logits`.
        stages: four maps (B, F_i, h_i, w_i), shallow to deep. CNN: the four stages. ViT: the patch tokens after the
            blocks that end each quarter of the depth.
        attention: the last block's (q, k, v), each (B, heads, prefix + patches, head width), ViT only; None for a CNN.
    """

    logits: Tensor
    pooled: Tensor | None = None
    feature_map: Tensor | None = None
    dense_logits: Tensor | None = None
    stages: tuple[Tensor, ...] | None = None
    attention: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Shapes:
    """Static shapes of one backbone's `Output`, without the batch axis.

    Attributes:
        family: "cnn" or "vit".
        pooled: F.
        feature_map: (F, h, w).
        stages: four (F_i, h_i, w_i).
        attention: (heads, tokens, head width), or None for a CNN.
        prefix_tokens: tokens in front of the patches (1 for a class token), 0 for a CNN.
    """

    family: Family
    pooled: int
    feature_map: tuple[int, int, int]
    stages: tuple[tuple[int, int, int], ...]
    attention: tuple[int, int, int] | None
    prefix_tokens: int


@dataclass(frozen=True)
class Task:
    """Static facts of a run, known before any data is seen.

    Attributes:
        num_classes: C.
        num_train: images in the training set; `Batch.index` is below it.
        train_labels: (num_train,) int64.
        teacher: shapes of the teacher's output; None when the method uses no teacher.
        student: shapes of the student's output.
        total_steps: updates of the student that the budget allows.
        epochs: passes over the training set.
        seed: the run's seed.
        device: where images and modules live.
    """

    num_classes: int
    num_train: int
    train_labels: Tensor
    teacher: Shapes | None
    student: Shapes
    total_steps: int
    epochs: int
    seed: int
    device: torch.device


class Run(Protocol):
    """The harness as a method sees it, in `prepare` and `step`."""

    @property
    def progress(self) -> float:
        """Share of the student's steps done, in [0, 1)."""

    @property
    def epoch(self) -> int:
        """Number of the current pass over the training set, from 0."""

    @property
    def step(self) -> int:
        """Updates of the student done so far."""

    def student_forward(self, images: Tensor) -> Output:
        """The student's output with gradient, counted and timed. In `prepare` without gradient, in evaluation mode."""

    def teacher_forward(self, images: Tensor) -> Output:
        """The teacher's output without gradient, counted and timed."""

    def batches(self, n: int) -> Iterator[Batch]:
        """Draws `n` training batches; counted against `prepare_examples`, so only `prepare` may call it."""

    def backward_and_step(self, losses: Losses) -> None:
        """Back-propagates the weighted sum of `losses` and updates the student once.

        Of each term the record gets the epoch's mean, raw and weighted, and once an epoch the norm of its weighted
        gradient on the student's trunk (all but the classifier).
        """

    def log(self, **scalars: float | Tensor) -> None:
        """Records numbers of this step; the epoch's mean goes to the record.

        What `prepare` logs counts for the first epoch, so it needs names that `step` does not log under.
        """


class Method(nn.Module):
    """A distillation method. Subclass it once a file; see `benchmark/submissions/lm.py` for the shape to aim for.

    Modules and buffers created in `__init__` are trained by the student's optimiser unless `optimizers` gives them
    one of their own; they are checkpointed, and thrown away when training ends. Draw random numbers from torch alone:
    its state is checkpointed too. A task that the method cannot work on, such as two networks whose grids do not match,
    is a ValueError in `__init__`: it is raised before anything is trained.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    directions: ClassVar[tuple[Direction, ...]]
    needs: ClassVar[frozenset[OutputField]] = frozenset({"logits"})
    uses_teacher: ClassVar[bool] = True
    per_sample: ClassVar[bool] = False
    Config: ClassVar[type[Any]]

    def __init__(self, task: Task, config: Any) -> None:
        super().__init__()
        self.task = task
        self.config = config

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        """The training loss: one scalar, or named ones that are summed by their weights. `teacher` is None if
        `uses_teacher` is False."""
        raise NotImplementedError(f"{type(self).__name__} defines neither `loss` nor `step`")

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Optimisers of the method's own, by name, for modules that the student's optimiser shall not train.

        The harness checkpoints them; `step` calls them. One that holds a parameter of the student is refused.
        """
        return {}

    def prepare(self, run: Run) -> None:
        """A stage before training, on at most one pass over the training set; the student may not change in it."""

    def step(self, run: Run, batch: Batch) -> None:
        """One update of the student. Override it when one optimiser is not enough, else define `loss`."""
        teacher = run.teacher_forward(batch.images) if self.uses_teacher else None
        student = run.student_forward(batch.images)
        run.backward_and_step(self.loss(batch, student, teacher))
