"""VLFKD: the visual-linguistic feature distillation and the decoupled distillation (PDD) of C2VKD: Zheng, Luo, Zhou &
Wang (2023), "Distilling efficient vision transformers from CNNs for semantic segmentation", arXiv:2310.07265. The paper
that this benchmark follows adapted it from segmentation to classification.

    L = CE(z_s, y) + lg L_global + lp L_patch + ll L_linguistic + ld L_pdd + a L_kd
    L_global     = KL(softmax(GAP(F_t)) || softmax(GAP(F_s))), over channels
    L_patch      = mean (F_s - F_t)^2 / Var(F_t)
    L_linguistic = KL(softmax(pool_t(F_t)) || softmax(pool_s(F_s))), over the pool's outputs
    L_pdd        = T^2 [alpha KL(q2 || s2) + beta KL(non_t || non_s)],  q2 = (t2 + [1, 0]) / 2
    L_kd         = T^2 KL(softmax(z_t / T) || softmax(z_s / T))

F_t is the teacher's last map. F_s are the student's patch tokens, averaged to the same grid and projected to the same
number of channels by Proj_S, a 1x1 convolution without bias. pool_t and pool_s are attention pools as in CLIP (Radford
et al. 2021, arXiv:2103.00020). s2 and t2 are (p_y, 1 - p_y) of student and teacher, and non_s and non_t are their
distributions over the other classes (DKD, Zhao et al. 2022, arXiv:2203.08679). The label in q2 corrects the teacher
where it is wrong. L_kd is ordinary logit matching, which is not part of the method: a = 0 by default.

The official code lacks the attention pool, its weights and the body of PDD, and does not run. This file departs from
the rest of that code, and from the paper that this benchmark follows, as follows:

- CE is part of the loss, with weight 1. The official code only logs it. lg, lp, ll, ld = 0.5, 0.3, 0.2, 1 are those of
  the notebooks of the benchmark's paper; the official values (0.1, 0.1, 0.5, 1) belong to the reductions that the next
  points describe.
- L_global compares averages over positions, and is summed over channels. The official code compares every position and
  averages over channels too, so the term vanishes as 1 / channels.
- L_patch is normalised by the teacher's variance, so its size does not depend on the teacher's scale. The option `gram`
  compares cosines between the tokens of an image. The official code compares the tokens of a whole batch, which needs
  (B N)^2 numbers and vanishes as 1 / channels^2.
- No layer on the teacher's side is trained together with the student, because two learned projections could agree on a
  constant. Eqs. 2-4 of the benchmark's paper allow this.
- pool_t replaces the unreleased weights. `prepare` trains it, under a linear classifier, with cross-entropy in one pass
  over the training set on the frozen F_t, and then it is frozen. Its accuracy in the last tenth of that pass is logged
  as `teacher_pool_accuracy`. Nothing is normalised before the softmax: softmaxes of unit vectors with 512 entries
  differ by about 0.002 nats, which teaches nothing.
- L_pdd expresses C2VKD's idea in DKD's terms, with the divergence from the target to the student. The options are `dkd`
  (q2 = t2), `binary` (no other classes), and `literal_mse` (squared differences of the probabilities; the equation of
  the benchmark's paper has sums of raw logits, which change when a constant is added to all of them).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Losses, Method, Output, Run, Task, Term

Patch = Literal["nmse", "gram"]
Pdd = Literal["mixed", "dkd", "binary", "literal_mse"]

CLIP_HEAD_WIDTH = 64
CLIP_POOL_WIDTH = 512
SMALL_POOL_WIDTH = 128  # for teachers with fewer channels


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) of (B, C) logits in nats, the mean over the batch; T is `temperature`."""
    student = F.log_softmax(student_logits.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def softmax_divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(softmax(teacher) || softmax(student)), batch mean, of (B, F); no gradient flows to the teacher."""
    log_student = F.log_softmax(student.float(), dim=1)
    log_teacher = F.log_softmax(teacher.detach().float(), dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)


def nmse_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the MSE of two (B, F, h, w) maps divided by the teacher's variance; 1 if the student is the mean."""
    teacher = teacher.detach().float()
    return F.mse_loss(student.float(), teacher) / teacher.var(correction=0)


def gram_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of the cosines between the positions of an image, for (B, F, h, w) maps."""
    return F.mse_loss(_cosines(student.float()), _cosines(teacher.detach().float()))


def _cosines(feature_map: Tensor) -> Tensor:
    """Return the cosines between all positions of each image, (B, h * w, h * w)."""
    tokens = F.normalize(feature_map.flatten(2), dim=1)
    return tokens.transpose(1, 2) @ tokens


class Decoupled(NamedTuple):
    """Log-probabilities of B images, split at the true class.

    Attributes:
        target: (B, 2), for the true class and for all others together.
        others: (B, C - 1), for each other class, given that the class is not the true one.
    """

    target: Tensor
    others: Tensor


def decouple(logits: Tensor, labels: Tensor, temperature: float) -> Decoupled:
    """Split the log-probabilities of (B, C) `logits` at `temperature` at the (B,) `labels`."""
    logits = logits.float() / temperature
    label, other = labels[:, None], torch.arange(logits.shape[1] - 1, device=labels.device)
    others = logits.gather(1, other + (other >= label))
    sums = torch.stack([logits.gather(1, label)[:, 0], others.logsumexp(dim=1)], dim=1)
    return Decoupled(F.log_softmax(sums, dim=1), F.log_softmax(others, dim=1))


def pdd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    kind: Pdd,
    temperature: float,
    target_weight: float,
    others_weight: float,
) -> Tensor:
    """Return the loss of decoupled distillation, the mean over the batch times the squared temperature.

    Args:
        student_logits, teacher_logits: (B, C) float; no gradient flows to the teacher's.
        labels: (B,) int64.
        kind: "dkd" is KL(teacher || student) of (true class, all others) and within the others; "mixed" is the same,
            after the label is mixed in equal parts into the teacher's (true class, all others); "binary" is "mixed"
            without the second term; "literal_mse" uses mean squared differences of the probabilities.
        temperature: above 0; divides both logits.
        target_weight, others_weight: weights of the two terms, DKD's alpha and beta.

    Returns:
        Scalar, nats (none for "literal_mse").
    """
    student = decouple(student_logits, labels, temperature)
    teacher = decouple(teacher_logits.detach(), labels, temperature)
    if kind == "literal_mse":
        target, others = _probability_errors(student, teacher)
    else:
        mixed = teacher.target.exp()
        if kind != "dkd":
            mixed = (mixed + mixed.new_tensor([1.0, 0.0])) / 2
        target = F.kl_div(student.target, mixed, reduction="batchmean")
        others = F.kl_div(student.others, teacher.others, reduction="batchmean", log_target=True)
    if kind == "binary":
        others_weight = 0.0
    return temperature**2 * (target_weight * target + others_weight * others)


def _probability_errors(student: Decoupled, teacher: Decoupled) -> tuple[Tensor, Tensor]:
    """Mean squared differences of p_y, and of the C - 1 probabilities of the other classes."""
    student_others, teacher_others = ((each.target[:, 1:] + each.others).exp() for each in (student, teacher))
    target = F.mse_loss(student.target[:, 0].exp(), teacher.target[:, 0].exp())
    return target, F.mse_loss(student_others, teacher_others)


class AttentionPool(nn.Module):
    """CLIP's attention pool: the mean of all positions is the query over the positions and itself.

    Args:
        feature_map: the shape (F, h, w) of the maps to pool.
        width: of the output.
    """

    def __init__(self, feature_map: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, height, breadth = feature_map
        self.heads = channels // CLIP_HEAD_WIDTH if channels % CLIP_HEAD_WIDTH == 0 else 1
        self.position = nn.Parameter(torch.randn(1 + height * breadth, channels) / channels**0.5)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels, bias=False)  # a bias would cancel in the softmax
        self.value = nn.Linear(channels, channels)
        self.output = nn.Linear(channels, width)

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map (B, F, h, w) to (B, width)."""
        positions = feature_map.flatten(2).transpose(1, 2)
        tokens = torch.cat([positions.mean(dim=1, keepdim=True), positions], dim=1) + self.position
        query, key, value = (
            self._by_head(each) for each in (self.query(tokens[:, :1]), self.key(tokens), self.value(tokens))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        pooled: Tensor = self.output(attended.flatten(1))
        return pooled

    def _by_head(self, tokens: Tensor) -> Tensor:
        """Reshape (B, N, F) to (B, heads, N, F / heads)."""
        return tokens.view(*tokens.shape[:2], self.heads, -1).transpose(1, 2)


class VisualLinguistic(Method):
    """Match features of the whole image, of its patches and of an attention pool, and decoupled logits."""

    name, paper, directions = "vlfkd", "arXiv:2310.07265", ("cnn-to-vit",)
    summary = "matches features globally, by patch and by attention pool, and logits decoupled at the true class"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "feature_map"})

    @dataclass(frozen=True)
    class Config:
        """The weights are lg, lp, ll, ld, PDD's alpha and beta, and a, of the equations above.

        `pool_width` None means CLIP's 512 if the teacher has at least as many channels, else 128.
        """

        global_weight: float = 0.5
        patch_weight: float = 0.3
        linguistic_weight: float = 0.2
        pdd_weight: float = 1.0
        patch: Patch = "nmse"
        pdd: Pdd = "mixed"
        pdd_temperature: float = 1.0
        pdd_target_weight: float = 0.5
        pdd_others_weight: float = 0.5
        pool_width: int | None = None
        pool_learning_rate: float = 1e-3
        distill_weight: float = 0.0
        distill_temperature: float = 4.0

        def __post_init__(self) -> None:
            parts = ("global", "patch", "linguistic", "pdd", "pdd_target", "pdd_others", "distill")
            for name in (f"{part}_weight" for part in parts):
                if not 0 <= getattr(self, name) < math.inf:
                    raise ValueError(f"{name} must be a number from 0, got {getattr(self, name)}")
            for name in ("pdd_temperature", "pool_learning_rate", "distill_temperature"):
                if not 0 < getattr(self, name) < math.inf:
                    raise ValueError(f"{name} must be a number above 0, got {getattr(self, name)}")
            if self.pool_width is not None and self.pool_width < 2:
                raise ValueError(f"pool_width must be at least 2, got {self.pool_width}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        teacher, student = task.teacher.feature_map, task.student.feature_map
        if teacher[1] > student[1] or teacher[2] > student[2]:
            raise ValueError(
                f"the teacher's grid {teacher[1:]} is finer than the student's {student[1:]}, so that tokens cannot be"
                " averaged to it; choose a student with smaller patches"
            )
        self.grid = teacher[1:]
        width = config.pool_width or (CLIP_POOL_WIDTH if teacher[0] >= CLIP_POOL_WIDTH else SMALL_POOL_WIDTH)
        self.projection = nn.Conv2d(student[0], teacher[0], kernel_size=1, bias=False)
        self.student_pool = AttentionPool(teacher, width)
        self.teacher_pool = AttentionPool(teacher, width)
        self.pool_classifier = nn.Linear(width, task.num_classes)
        self._pool_optimizer = torch.optim.Adam(
            [*self.teacher_pool.parameters(), *self.pool_classifier.parameters()], lr=config.pool_learning_rate
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Keep the teacher's pool out of the student's optimiser: only `prepare` trains it."""
        return {"teacher_pool": self._pool_optimizer}

    def prepare(self, run: Run) -> None:
        """Train the teacher's pool in one pass over the training set."""
        steps = self.task.total_steps // self.task.epochs
        accuracy = [self._train_pool(batch, run.teacher_forward(batch.images)) for batch in run.batches(steps)]
        run.log(teacher_pool_accuracy=torch.stack(accuracy[-max(1, steps // 10) :]).mean())

    def _train_pool(self, batch: Batch, teacher: Output) -> Tensor:
        """Update the teacher's pool and its classifier once; return the accuracy before the update."""
        logits: Tensor = self.pool_classifier(self.teacher_pool(teacher.feature_map))
        self._pool_optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits, batch.labels).backward()  # type: ignore[no-untyped-call]
        self._pool_optimizer.step()
        return (logits.argmax(dim=1) == batch.labels).float().mean()

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> Losses:
        assert teacher is not None
        config, target = self.config, teacher.feature_map
        projected = self.project(student)
        with torch.no_grad():
            words = self.teacher_pool(target)
        patch_loss = nmse_loss if config.patch == "nmse" else gram_loss
        pdd = pdd_loss(
            student.logits,
            teacher.logits,
            batch.labels,
            kind=config.pdd,
            temperature=config.pdd_temperature,
            target_weight=config.pdd_target_weight,
            others_weight=config.pdd_others_weight,
        )
        image = softmax_divergence(projected.mean(dim=(2, 3)), target.mean(dim=(2, 3)))
        linguistic = softmax_divergence(self.student_pool(projected), words)
        terms: dict[str, Tensor | Term] = {
            "cross_entropy": F.cross_entropy(student.logits, batch.labels),
            "global": Term(image, config.global_weight),
            "patch": Term(patch_loss(projected, target), config.patch_weight),
            "linguistic": Term(linguistic, config.linguistic_weight),
            "pdd": Term(pdd, config.pdd_weight),
        }
        if config.distill_weight:
            distillation = kd_loss(student.logits, teacher.logits, config.distill_temperature)
            terms["distillation"] = Term(distillation, config.distill_weight)
        return terms

    def project(self, student: Output) -> Tensor:
        """Return the student's patch tokens in the teacher's shape, (B, F_t, h, w).

        The tokens are averaged before the projection, which is cheaper and equivalent, since Proj_S is linear. If the
        student's grid is a multiple of the teacher's, the average is plain average pooling.
        """
        projected: Tensor = self.projection(F.adaptive_avg_pool2d(student.feature_map, self.grid))
        return projected
