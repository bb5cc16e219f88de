"""Self-supervised distillation: Xu, Liu, Li & Loy (2020), "Knowledge distillation meets self-supervision",
arXiv:2006.07114.

Each image x_i is seen upright and rotated by 90, 180 and 270 degrees (the x~ below, three a sample). A head h of two
layers on the pooled feature f asks which upright image a rotated one was made from:

    A_ij = cos(h(f(x~_i)), h(f(x_j)))                                   3B rotated rows, B upright columns

Stage 1, in `prepare`, trains the teacher's head alone, by CE(A^t, the row's own sample). Stage 2 trains the student and
its head, with everything of the teacher's frozen:

    L    = l1 L_ce + l2 L_kd + l3 L_ss + l4 L_T                         .1, .9, 10, 2.7
    L_ce = CE(z^s, y)                                                   upright
    L_kd = T^2 KL(softmax(z^t / T) || softmax(z^s / T))                 upright, T = 4
    L_T  = the same, T = 4, on the rotated rows that are kept           ratio 1
    L_ss = tau^2 KL(softmax_j(A^t / tau) || softmax_j(A^s / tau))       tau = .5, ratio .75

Kept are all rows on which the teacher puts the truth first and, of its wrong rows, the share `ratio` on which it ranks
the truth best; both are means over the rows kept.

Weights, temperatures, ratios and the head's optimiser are those of the official code (xuguodong03/SSKD). Its objective,
not the printed one, is meant: eq. 16 of the paper that this benchmark follows sums a cross-entropy over all 3B rows,
which would make l3 = 10 too large by that factor, and its ratio belongs to L_ss as to L_T.

Where this differs from the official code, and why:

- Flip and crop are drawn once a sample, by the harness, and shared by its four views; there each view has its own crop.
- Stage 1 sees each image once, the benchmark's budget, where there it is augmented anew in each of 60 epochs. The head
  still gets its 60, on the teacher's features of that one pass: after one, it would be no better than no head at all.
- The student has the benchmark's optimiser, schedule and clipped gradient. The weighted sum starts far above 1, so SGD
  at .05 would wreck a pretrained student; AdamW does not see the scale.
- Rows of equal rank are kept in order, where there the sort decides; if no row is kept the term is 0.

Kept from it: stage 1 has no temperature, and the student's batch statistics come from all four views, three quarters of
them rotated, though it is scored on upright images. Seeing rotations is a treatment of its own, so a difference from
independent is not all the teacher's doing. The method is indifferent to architecture; only the direction in which the
paper ran it is offered. A step costs four of logit matching.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Method, Output, Run, Task, Term

ROTATIONS = 3
HEAD_MOMENTUM, HEAD_WEIGHT_DECAY = 0.9, 5e-4
HEAD_MILESTONES, HEAD_DECAY = (0.5, 0.75), 0.1


class Views(NamedTuple):
    """What one network says about the four views of B samples.

    Attributes:
        upright: (B, C) logits.
        rotated: (3B, C) logits; rows 3i to 3i + 2 are sample i by 90, 180 and 270 degrees.
        similarity: (3B, B) in [-1, 1], rotated rows against upright columns.
    """

    upright: Tensor
    rotated: Tensor
    similarity: Tensor


def four_views(images: Tensor) -> Tensor:
    """(4B, 3, S, S): rows 4i to 4i + 3 are image i by 0, 90, 180 and 270 degrees."""
    return torch.stack([torch.rot90(images, turns, dims=(2, 3)) for turns in range(ROTATIONS + 1)], dim=1).flatten(0, 1)


def split_views(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The (B, D) upright and the (3B, D) rotated ones of (4B, D) rows in the order of `four_views`."""
    samples = rows.reshape(-1, ROTATIONS + 1, rows.shape[1])
    return samples[:, 0], samples[:, 1:].flatten(0, 1)


def view_similarity(representations: Tensor) -> Tensor:
    """A: (3B, B) cosines, in float32, of rotated rows with upright ones; from (4B, D) in the order of `four_views`."""
    with torch.autocast(representations.device.type, enabled=False):
        upright, rotated = split_views(F.normalize(representations.float(), dim=1))
        return rotated @ upright.T


def own_samples(similarity: Tensor) -> Tensor:
    """(3B,) int64: the column in which each row of (3B, B) finds its own sample."""
    return torch.arange(len(similarity), device=similarity.device) // ROTATIONS


def truth_ranks(scores: Tensor, truth: Tensor) -> Tensor:
    """(N,) int64: how many entries of each row of (N, K) lie strictly above that of `truth`, (N,) int64; 0 is right."""
    return (scores > scores.gather(1, truth[:, None])).sum(dim=1)


def kept_rows(ranks: Tensor, ratio: float) -> Tensor:
    """(N,) bool: the rows of rank 0 and, of the W others, the floor(ratio W) of the lowest ranks; of equal ones the
    earlier rows.

    Args:
        ranks: (N,) int64, at least 0.
        ratio: in [0, 1].
    """
    wrong = (ranks > 0).sum()
    count = len(ranks) - wrong + (wrong.double() * ratio).long()
    best_first = torch.argsort(ranks, stable=True)
    kept = torch.zeros_like(ranks, dtype=torch.bool)
    kept[best_first] = torch.arange(len(ranks), device=ranks.device) < count
    return kept


def softened_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """(N,) nats: KL(teacher || student) of each row of (N, K) scores at `temperature`, times its square.

    No gradient flows to the teacher.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.detach().float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim=1) * temperature**2


def selective_kl(student: Tensor, teacher: Tensor, truth: Tensor, *, temperature: float, ratio: float) -> Tensor:
    """Mean of `softened_kl` over the rows that are kept by the teacher's ranks of the truth; 0 if none is.

    Args:
        student: (N, K) float.
        teacher: (N, K) float; no gradient flows to it.
        truth: (N,) int64 in [0, K).
        temperature: above 0.
        ratio: in [0, 1], the share of the teacher's wrong rows to keep.
    """
    kept = kept_rows(truth_ranks(teacher, truth), ratio)
    return (softened_kl(student, teacher, temperature) * kept).sum() / kept.sum().clamp(min=1)


def similarity_accuracy(similarity: Tensor) -> Tensor:
    """Share of the rows of (3B, B) whose own sample is the most similar; 1 / B for a head that knows nothing."""
    return (truth_ranks(similarity, own_samples(similarity)) == 0).float().mean()


def projection_head(width: int) -> nn.Sequential:
    """h: two layers as wide as the feature, (N, width) to (N, width)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


class SelfSupervisedDistillation(Method):
    """The student matches the teacher's classes, and what it finds alike among rotated and upright images."""

    name, paper, directions = "sskd", "arXiv:2006.07114", ("vit-to-cnn",)
    summary = "matches classes and image similarities on upright and rotated views (direction as in the paper)"
    needs = frozenset({"logits", "pooled"})

    @dataclass(frozen=True)
    class Config:
        """Weights l1, l2, l3, l4; temperatures T, T, tau; shares of wrong rows kept; epochs and rate of stage 1."""

        cross_entropy_weight: float = 0.1
        distill_weight: float = 0.9
        similarity_weight: float = 10.0
        rotated_weight: float = 2.7
        temperature: float = 4.0
        rotated_temperature: float = 4.0
        similarity_temperature: float = 0.5
        rotated_ratio: float = 1.0
        similarity_ratio: float = 0.75
        head_epochs: int = 60
        head_learning_rate: float = 0.05

        def __post_init__(self) -> None:
            for name, value in vars(self).items():
                if name.endswith("_weight") and not value >= 0:
                    raise ValueError(f"{name} must not be negative, got {value}")
                if name.endswith(("temperature", "_rate")) and not value > 0:
                    raise ValueError(f"{name} must be above 0, got {value}")
                if name.endswith("_ratio") and not 0 <= value <= 1:
                    raise ValueError(f"{name} must lie in [0, 1], got {value}")
            if not self.head_epochs >= 1:
                raise ValueError(f"head_epochs must be 1 or more, got {self.head_epochs}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.teacher_head = projection_head(task.teacher.pooled)
        self.student_head = projection_head(task.student.pooled)
        self._head_optimizer = torch.optim.SGD(
            self.teacher_head.parameters(),
            lr=config.head_learning_rate,
            momentum=HEAD_MOMENTUM,
            weight_decay=HEAD_WEIGHT_DECAY,
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """The teacher's head belongs to an optimiser that only `prepare` calls, so that nothing trains it later."""
        return {"teacher_head": self._head_optimizer}

    def prepare(self, run: Run) -> None:
        """Stage 1: the teacher's head learns to find a rotated image's own sample; its last epoch's accuracy is logged.

        Holds (N, 4, F) features of the N images of one pass.
        """
        batches, epochs = self.task.total_steps // self.task.epochs, self.config.head_epochs
        features = torch.cat([self._teacher_features(run, batch) for batch in run.batches(batches)])
        milestones = [int(share * epochs * batches) for share in HEAD_MILESTONES]
        schedule = torch.optim.lr_scheduler.MultiStepLR(self._head_optimizer, milestones, HEAD_DECAY)
        for epoch in range(epochs):
            order = torch.randperm(len(features)).view(batches, -1).to(features.device)
            for samples in order:
                similarity = self._train_head(features[samples].flatten(0, 1))
                schedule.step()
                if epoch == epochs - 1:
                    run.log(stage1_head_accuracy=similarity_accuracy(similarity))

    def _teacher_features(self, run: Run, batch: Batch) -> Tensor:
        """(B, 4, F) of a batch's four views."""
        pooled = run.teacher_forward(four_views(batch.images)).pooled
        assert pooled is not None
        return pooled.view(len(batch.images), ROTATIONS + 1, -1)

    def _train_head(self, features: Tensor) -> Tensor:
        """One step of the teacher's head on (4B, F) features; gives the (3B, B) similarities before it."""
        similarity = view_similarity(self.teacher_head(features))
        self._head_optimizer.zero_grad()
        F.cross_entropy(similarity, own_samples(similarity)).backward()  # type: ignore[no-untyped-call]
        self._head_optimizer.step()
        return similarity.detach()

    def step(self, run: Run, batch: Batch) -> None:
        images = four_views(batch.images)
        with torch.no_grad():
            teacher = self._views(run.teacher_forward(images), self.teacher_head)
        student = self._views(run.student_forward(images), self.student_head)
        run.log(
            teacher_head_accuracy=similarity_accuracy(teacher.similarity),
            student_head_accuracy=similarity_accuracy(student.similarity),
        )
        run.backward_and_step(self.terms(student, teacher, batch.labels))

    def _views(self, output: Output, head: nn.Module) -> Views:
        assert output.pooled is not None
        return Views(*split_views(output.logits), view_similarity(head(output.pooled)))

    def terms(self, student: Views, teacher: Views, labels: Tensor) -> dict[str, Term]:
        """L_ce, L_kd, L_ss and L_T with their weights, for B samples of `labels` (B,) int64."""
        config = self.config
        cross_entropy = F.cross_entropy(student.upright, labels)
        distillation = softened_kl(student.upright, teacher.upright, config.temperature).mean()
        similarity_distillation = selective_kl(
            student.similarity,
            teacher.similarity,
            own_samples(teacher.similarity),
            temperature=config.similarity_temperature,
            ratio=config.similarity_ratio,
        )
        rotated_distillation = selective_kl(
            student.rotated,
            teacher.rotated,
            labels.repeat_interleave(ROTATIONS),
            temperature=config.rotated_temperature,
            ratio=config.rotated_ratio,
        )
        return {
            "cross_entropy": Term(cross_entropy, config.cross_entropy_weight),
            "distillation": Term(distillation, config.distill_weight),
            "similarity_distillation": Term(similarity_distillation, config.similarity_weight),
            "rotated_distillation": Term(rotated_distillation, config.rotated_weight),
        }
