"""The submission contract. A method file may import it and `kdbench.blocks`, and nothing else of kdbench.

A method is one Python file with one subclass of `Method`. The smallest one defines the class variables, a frozen
`Config` and `loss`; the harness owns data, optimiser, schedule, precision, budget and evaluation.

On a GPU, the harness captures a whole step and repeats it without running its Python, which saves time. A
step that cannot be captured runs as it is written, and the record says why. A step can be captured if it

- never waits for the device: no `.item()`, `.cpu()`, `print` or `if` of a tensor, no mask as an index, no `nonzero`;
- keeps what changes from step to step in tensors on the device whose shapes stay the same, not in numbers, lists or
  iterators of Python (`self.mean = 0.9 * self.mean + 0.1 * value` is fine, `self.count += 1` is not);
- draws random numbers from torch on the device alone, without a generator of its own;
- compares `run.progress` and `run.step` with constants, but does not compute with them; `run.epoch` may be used freely,
  and the step is then captured once per epoch; inside `loss`, the run is `self.run`;
- sets the gradients of its own modules to None before each backward pass, as `zero_grad()` does, and uses an optimiser
  of torch that can be captured (SGD, or one with the option `capturable`, which the harness sets).

A method that mixes the images of a batch (mixup, CutMix) overrides `step`, sends the mixed images through both
networks, and keeps `per_sample` False, since the loss of an image then depends on another one:

    def step(self, run: Run, batch: Batch) -> None:
        share = torch.rand((), device=batch.images.device)
        images = share * batch.images + (1 - share) * batch.images.flip(0)
        student, teacher = run.student_forward(images), run.teacher_forward(images)
        first, second = (F.cross_entropy(student.logits, labels) for labels in (batch.labels, batch.labels.flip(0)))
        run.backward_and_step({"cross_entropy": share * first + (1 - share) * second, ...})

A whole file:

    # logit_regression.py: Ba & Caruana (2014), arXiv:1312.6184, eq. 1
    from dataclasses import dataclass

    from torch.nn import functional as F

    from kdbench.api import BOTH, Batch, Losses, Method, Output, Term


    class LogitRegression(Method):
        name, paper, directions = "logit-regression", "arXiv:1312.6184", BOTH
        summary = "regresses on the teacher's logits"
        per_sample = True

        @dataclass(frozen=True)
        class Config:
            distill_weight: float = 1.0

        def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
            assert teacher is not None  # `uses_teacher` is True
            return {
                "cross_entropy": F.cross_entropy(student.logits, batch.labels),
                "regression": Term(F.mse_loss(student.logits, teacher.logits), self.config.distill_weight),
            }
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from kdbench.spec.vocabulary import DIRECTIONS, Direction, Family

BOTH: tuple[Direction, ...] = ("cnn-to-vit", "vit-to-cnn")
"""The directions in which teacher and student are of different families."""

EVERY: tuple[Direction, ...] = DIRECTIONS
"""All directions, for a method that does not depend on the families of the networks."""

OutputField = Literal["logits", "pooled", "feature_map", "dense_logits", "stages", "attention", "classifier"]
"""A field of `Output` that a method may list in `needs`."""


class Term(NamedTuple):
    """One part of a loss.

    Attributes:
        value: () float, as its paper defines it.
        weight: its factor in the sum.
    """

    value: Tensor
    weight: float = 1.0


Losses = Tensor | Mapping[str, Tensor | Term]
"""The loss of a method: one scalar, or named scalars and terms, which are summed with their weights."""


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


_ABSENT: Any = None


@dataclass(frozen=True, eq=False, repr=False)
class Output:
    """The output of a backbone for B images, with the same names for CNN and ViT.

    What is said of CNN and ViT holds for the tracks' own networks, a ResNet and a Vision Transformer. Runs of the open
    division train other networks of timm, for which docs/pairs.md says what the fields are.

    To read a field that the method does not list in `needs`, except for `logits`, raises AttributeError.

    Attributes:
        logits: (B, C) float.
        pooled: (B, F), the input of the classifier: the global average (CNN), or the class token after the final norm
            (ViT).
        feature_map: (B, F, h, w), the last map: stage 4 (CNN), or the grid of patch tokens after the final norm (ViT).
        dense_logits: (B, C, h, w), the network's own classifier applied at every position of `feature_map`. For a CNN,
            their mean over positions is `logits`.
        stages: four maps (B, F_i, h_i, w_i), shallow to deep: the four stages (CNN), or the patch tokens after each
            quarter of the blocks (ViT).
        attention: (q, k, v) of the last block of a ViT, each (B, heads, prefix + patches, head width); a CNN has none.
        classifier: maps (..., F) features to (..., C) logits with the present weights of the network's classifier, so
            that `classifier(pooled)` is `logits`. The teacher's weights get no gradient, but its argument does.
    """

    logits: Tensor
    pooled: Tensor = _ABSENT
    feature_map: Tensor = _ABSENT
    dense_logits: Tensor = _ABSENT
    stages: tuple[Tensor, ...] = _ABSENT
    attention: tuple[Tensor, Tensor, Tensor] = _ABSENT
    classifier: Callable[[Tensor], Tensor] = _ABSENT

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if value is not None:
            return value
        remark = "; only a Vision Transformer has it" if name == "attention" else ""
        raise AttributeError(f'`{name}` was not computed: add "{name}" to `needs`{remark}')


@dataclass(frozen=True)
class Shapes:
    """Static shapes of one backbone's `Output`, without the batch axis.

    Attributes:
        family: "cnn" or "vit".
        pooled: F.
        feature_map: (F, h, w).
        stages: four (F_i, h_i, w_i).
        attention: (heads, tokens, head width), or None for a CNN and other networks without it.
        prefix_tokens: tokens in front of the patches (1 for a class token), 0 for a CNN.
        missing: `classifier` and `dense_logits` if the network does not have them; the tracks' own networks have both.
    """

    family: Family
    pooled: int
    feature_map: tuple[int, int, int]
    stages: tuple[tuple[int, int, int], ...]
    attention: tuple[int, int, int] | None
    prefix_tokens: int
    missing: frozenset[OutputField] = frozenset()


def _build_nothing(network: str) -> nn.Module:
    raise RuntimeError(f"this task cannot build a {network}; the harness hands out tasks that can")


@dataclass(frozen=True)
class Task:
    """Static facts of a run, known before any data is seen.

    Attributes:
        num_classes: C.
        num_train: number of training images; every `Batch.index` is smaller.
        train_labels: (num_train,) int64.
        teacher: shapes of the teacher's output; None if the method uses no teacher.
        student: shapes of the student's output.
        total_steps: number of updates of the student that the budget allows.
        epochs: passes over the training set.
        seed: of the run.
        device: of images and modules.
        build: `build("student")`, called in `__init__`, returns a new network of the student's architecture, such as a
            peer. It has the student's pretrained weights, if there are any, and a classifier of its own. Kept as an
            attribute of the method, it is trained and checkpointed like every other module of it. Called with images,
            it returns an `Output` with the fields in `needs`. Its parameters and images are counted as the student's.
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
    build: Callable[[Literal["student"]], nn.Module] = field(default=_build_nothing, repr=False, compare=False)


class Run(Protocol):
    """The interface of the harness for `prepare` and `step`, and as `self.run` for `loss`.

    Every call counts towards the run's budget. Exceeding it ends the run with the status `over_budget`.
    """

    @property
    def progress(self) -> float:
        """Share of the student's updates that are finished, in [0, 1); see the notes on captured steps above."""

    @property
    def epoch(self) -> int:
        """Number of the current pass over the training set, from 0."""

    @property
    def step(self) -> int:
        """Number of finished updates of the student."""

    def student_forward(self, images: Tensor) -> Output:
        """Return the student's output with gradient; in `prepare` without gradient and in evaluation mode.

        The fields in the method's `needs` are computed. The images and seconds count as the student's.

        Args:
            images: (B, 3, H, W) float, as in `Batch`.
        """

    def teacher_forward(self, images: Tensor) -> Output:
        """Return the teacher's output without gradient, in evaluation mode.

        The fields in the method's `needs` are computed. The images and seconds count as the teacher's.

        Args:
            images: (B, 3, H, W) float, as in `Batch`.

        Raises:
            RuntimeError: the method sets `uses_teacher` to False.
        """

    def ema_forward(self, images: Tensor) -> Output:
        """Return the output of the student's moving average without gradient, in evaluation mode.

        The average follows all weights and statistics of the student: after each update, it moves towards them by
        1 - `ema_decay` of the distance. The fields in the method's `needs` are computed, and the images count as the
        student's.

        Args:
            images: (B, 3, H, W) float, as in `Batch`.

        Raises:
            RuntimeError: the method has no `ema_decay`.
        """

    def batches(self, n: int) -> Iterator[Batch]:
        """Yield `n` training batches, in another order than that of the training.

        Their images count towards `prepare_examples`, which allows one pass over the training set.

        Raises:
            RuntimeError: called outside `prepare`.
        """

    def backward_and_step(self, losses: Losses) -> None:
        """Back-propagate the weighted sum of `losses` and update the student once.

        The record gets the mean of each term over the epoch, raw and weighted, and once per epoch the norm of its
        weighted gradient on the student's trunk (all layers except the classifier).
        """

    def log(self, **scalars: float | Tensor) -> None:
        """Log numbers of this step by name; the record gets their means over the epoch.

        Numbers that `prepare` logs belong to the first epoch, so they need other names than those of `step`.
        """


class Method(nn.Module):
    """A distillation method. Subclass it once per file; `benchmark/submissions/lm.py` shows the shape to aim for.

    The student's optimiser trains the modules that `__init__` creates, unless `optimizers` returns another one for
    them. Modules and buffers are checkpointed, and discarded when the training ends; those that are made after
    `__init__` are refused. Draw random numbers only from torch, whose state is checkpointed, too.

    Attributes:
        name: lower-case letters, digits, "-" and "_"; unique among the methods of a plan.
        paper: source of the method, such as "arXiv:1503.02531"; may be empty.
        summary: what the method does, in a few words.
        directions: that it is published for. Unless it reads `attention`, it is also trained with a teacher of the
            student's own family, where that is needed for comparison; its runs there are marked "beyond the paper".
        beyond_paper: further directions in which it can train although nobody has published it for them. Its runs
            there are marked likewise.
        needs: fields of `Output` that it reads from teacher and student; `logits` is always available.
        images: what it shows to either network, in one sentence, which the leaderboard prints. A method that defines
            `step` or `prepare` must say it.
        uses_teacher: False for a method that never calls its teacher; `loss` then gets None.
        views: how many images the networks see per image of the batch, roughly: 4 for a method that shows each image in
            four rotations. Only the estimated time and the order of the runs depend on it, which starts with long ones.
        per_sample: True if the loss of an image does not depend on the other images of its batch. A batch that does not
            fit the device may then be split.
        ema_decay: in [0, 1), for a method that calls `run.ema_forward`; `__init__` may set it from its config.
        Config: frozen dataclass of the method's settings; JSON can represent its defaults.
        task: static facts of the run.
        config: an instance of `Config`.
        run: the interface of the harness, while `prepare`, `step` or `loss` runs.

    Args:
        task: static facts of the run.
        config: an instance of `Config`.

    Raises:
        ValueError: the method cannot work on the task, for example because the grids of the networks do not match. It
            is raised before anything is trained.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    summary: ClassVar[str]
    directions: ClassVar[tuple[Direction, ...]]
    beyond_paper: ClassVar[tuple[Direction, ...]] = ()
    needs: ClassVar[frozenset[OutputField]] = frozenset({"logits"})
    images: ClassVar[str] = "both networks see the images of the batch as they are"
    uses_teacher: ClassVar[bool] = True
    views: ClassVar[float] = 1.0
    per_sample: ClassVar[bool] = False
    Config: ClassVar[type[Any]]
    ema_decay: float | None = None
    _run: Run | None = None

    def __init__(self, task: Task, config: Any) -> None:
        super().__init__()
        self.task = task
        self.config = config

    @property
    def run(self) -> Run:
        """The interface of the harness, while `prepare`, `step` or `loss` runs.

        Raises:
            RuntimeError: none of them runs.
        """
        if self._run is None:
            raise RuntimeError("`self.run` exists only while the harness runs `prepare`, `step` or `loss`")
        return self._run

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        """Return the training loss of a batch.

        Args:
            batch: images, labels and positions in the training set.
            student: the student's output, with gradient.
            teacher: the teacher's output, without gradient; None if `uses_teacher` is False.

        Returns:
            One scalar, or named scalars and terms, which are summed with their weights.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither `loss` nor `step`")

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Return the method's own optimisers by name, for modules that the student's optimiser must not train.

        The harness checkpoints them, and `step` calls them. They may not hold a parameter of the student.
        """
        return {}

    def prepare(self, run: Run) -> None:
        """Run a stage before training, with at most one pass over the training set. The student may not change."""

    def step(self, run: Run, batch: Batch) -> None:
        """Update the student once, with `run.backward_and_step`.

        Override this if one optimiser is not enough; otherwise define `loss`.
        """
        teacher = run.teacher_forward(batch.images) if self.uses_teacher else None
        student = run.student_forward(batch.images)
        run.backward_and_step(self.loss(batch, student, teacher))
