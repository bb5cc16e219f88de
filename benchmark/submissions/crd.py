"""Contrastive representation distillation: Tian, Krishnan & Isola (2020), ICLR, arXiv:1910.10699.

v_s and v_t (B, d) are the penultimate vectors of student and teacher, after a linear embedding and normalisation. The
memories M1 (student) and M2 (teacher) keep one such vector for each of the n training images. c_bk are the indices of
the images that row b is compared with: c_b0 is the image itself, and the K others are drawn.

    o_s[b, k] = exp(v_s[b] . M2[c_bk] / tau)        o_t[b, k] = exp(v_t[b] . M1[c_bk] / tau)
    x = o / Z,  Z = n mean(o) of the first batch, constant from then on
    ContrastLoss(x) = -1/B sum_b [ log(x_b0 / (x_b0 + c + eps)) + sum_k log(c / (x_bk + c + eps)) ],  c = K / n
    L = CE(z_s, y) + beta (ContrastLoss(x_s) + ContrastLoss(x_t)) + a T^2 KL(softmax(z_t / T) || softmax(z_s / T))
    after the update: M1[i] <- normalise(m M1[i] + (1 - m) v_s),  M2[i] <- normalise(m M2[i] + (1 - m) v_t)

The paper's critic is h = x / (x + c), with N for K and M for n. Both embeddings are trained; no gradient flows to the
teacher, the memories or Z. Defaults (beta, a = 0, tau, m, d) are those of RepDistiller, the authors' code.

Differences from RepDistiller:

- K is min(4096, n // 3), not 16384, because schedules are short and training sets small. `num_negatives` overrides it.
- `prefill` (off by default) fills both memories with embedded vectors in one pass before training. RepDistiller starts
  from random rows, so every positive is noise in the first epoch, which is a third of a run of three epochs.
- Scores are one matrix product with the whole memory, gathered at c_bk. They are the same numbers and need less memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import BOTH, Batch, Method, Output, Run, Task, Term

EPS = 1e-7
MOST_NEGATIVES = 4096


def contrast_loss(x: Tensor, num_train: int) -> Tensor:
    """Return ContrastLoss: a noise-contrastive loss, summed over the compared images and averaged over the batch.

    Args:
        x: (B, K + 1) normalised scores, above 0; column 0 is the positive.
        num_train: n.

    Returns:
        Scalar, nats.
    """
    c = (x.shape[1] - 1) / num_train
    positive = torch.log(x[:, 0] / (x[:, 0] + c + EPS))
    negatives = torch.log(c / (x[:, 1:] + c + EPS))
    return -(positive + negatives.sum(dim=1)).mean()


def indifferent_loss(num_negatives: int) -> float:
    """Return `contrast_loss` of equal scores, about ln(K + 1) + 1 nats: the loss if nothing was transferred.

    Scores that vary at random cost slightly more.
    """
    k = torch.tensor(float(num_negatives), dtype=torch.float64)
    return float(torch.log1p(k) + k * torch.log1p(1 / k))


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) of (B, C) logits in nats, the mean over the batch; T is `temperature`."""
    student = F.log_softmax(student_logits.float() / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits.detach().float() / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def draw_negatives(labels: Tensor, train_labels: Tensor, count: int, *, repeat: bool = False) -> Tensor:
    """Draw images of other classes uniformly.

    Args:
        labels: (B,) int64.
        train_labels: (n,) int64.
        count: K.
        repeat: whether a row may contain an image twice; needed where fewer than K images belong to other classes.

    Returns:
        (B, K) int64, indices of training images.
    """
    others = labels[:, None] != train_labels
    if repeat:
        return torch.multinomial(others.float(), count, replacement=True)
    keys = torch.rand(others.shape, device=labels.device).masked_fill_(~others, -1.0)
    return keys.topk(count, dim=1, sorted=False).indices


def full_precision(tensor: Tensor) -> torch.autocast:
    """Keep the enclosed block in float32; after division by tau, bfloat16 would change scores by several per cent."""
    return torch.autocast(tensor.device.type, enabled=False)


class Embedding(nn.Module):
    """A linear layer, then normalisation to length 1."""

    def __init__(self, width: int, dimension: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, dimension)

    def forward(self, pooled: Tensor) -> Tensor:
        with full_precision(pooled):
            return F.normalize(self.linear(pooled.float()), dim=1)


class Memory(nn.Module):
    """One vector per training image, and the constant Z that normalises the scores.

    Buffers: `rows` (n, d) drawn from U(-s, s) with s = 1 / sqrt(d / 3), so that their length is about 1; `z` (), 0
    until the first scores.
    """

    rows: Tensor
    z: Tensor

    def __init__(self, num_train: int, dimension: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        scale = (3 / dimension) ** 0.5
        self.register_buffer("rows", torch.empty(num_train, dimension).uniform_(-scale, scale))
        self.register_buffer("z", torch.zeros(()))

    def forward(self, v: Tensor, compared: Tensor) -> Tensor:
        """Return scores x (B, K + 1) of unit vectors v (B, d) and rows `compared` (B, K + 1); the first call sets Z."""
        with full_precision(v):
            o = torch.exp((v @ self.rows.T).gather(1, compared) / self.temperature)
        self.z = torch.where(self.z > 0, self.z, len(self.rows) * o.detach().mean())
        return o / self.z

    @torch.no_grad()
    def update(self, index: Tensor, v: Tensor, momentum: float) -> None:
        """Move the rows `index` (B,), which must differ, towards v (B, d), and rescale them to length 1."""
        self.rows[index] = F.normalize(momentum * self.rows[index] + (1 - momentum) * v, dim=1)


class ContrastiveRepresentationDistillation(Method):
    """Make the vectors of one image from both networks recognisable among the vectors of other images."""

    name, paper, directions = "crd", "arXiv:1910.10699", BOTH
    summary = "tells by the student's features which features of the teacher belong to the same image"
    images = "both networks see the images of the batch as they are"
    needs = frozenset({"logits", "pooled"})

    @dataclass(frozen=True)
    class Config:
        """`num_negatives` None stands for min(4096, n // 3). `label_free` draws the K images from all classes, with
        repetition, as RepDistiller does when it receives no indices."""

        beta: float = 0.8
        temperature: float = 0.07
        momentum: float = 0.5
        dimension: int = 128
        num_negatives: int | None = None
        label_free: bool = False
        prefill: bool = False
        distill_weight: float = 0.0
        distill_temperature: float = 4.0

        def __post_init__(self) -> None:
            for key in ("beta", "temperature", "distill_temperature"):
                if not getattr(self, key) > 0:
                    raise ValueError(f"{key} must be above 0, got {getattr(self, key)}")
            if not 0 <= self.momentum < 1:
                raise ValueError(f"momentum must lie in [0, 1), got {self.momentum}")
            if self.dimension < 1:
                raise ValueError(f"dimension must be at least 1, got {self.dimension}")
            if self.num_negatives is not None and self.num_negatives < 1:
                raise ValueError(f"num_negatives must be at least 1, or None for the rule, got {self.num_negatives}")
            if not self.distill_weight >= 0:
                raise ValueError(f"distill_weight must not be negative, got {self.distill_weight}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        assert task.teacher is not None
        self.num_negatives = config.num_negatives or min(MOST_NEGATIVES, task.num_train // 3)
        fewest_others = task.num_train - int(task.train_labels.bincount().max())
        self.repeat = self.num_negatives > fewest_others
        self.embed_s = Embedding(task.student.pooled, config.dimension)
        self.embed_t = Embedding(task.teacher.pooled, config.dimension)
        self.memory_s = Memory(task.num_train, config.dimension, config.temperature)
        self.memory_t = Memory(task.num_train, config.dimension, config.temperature)

    def prepare(self, run: Run) -> None:
        if not self.config.prefill:
            return
        for batch in run.batches(self.task.total_steps // self.task.epochs):
            student, teacher = run.student_forward(batch.images), run.teacher_forward(batch.images)
            self.remember(batch, *self.embedded(student, teacher), momentum=0.0)

    def step(self, run: Run, batch: Batch) -> None:
        student, teacher = run.student_forward(batch.images), run.teacher_forward(batch.images)
        v_s, v_t = self.embedded(student, teacher)
        compared = self.compared(batch)
        loss_s = contrast_loss(self.memory_t(v_s, compared), self.task.num_train)
        loss_t = contrast_loss(self.memory_s(v_t, compared), self.task.num_train)
        losses = {
            "cross_entropy": Term(F.cross_entropy(student.logits.float(), batch.labels)),
            "contrast": Term(loss_s + loss_t, self.config.beta),
        }
        if self.config.distill_weight:
            kd = kd_loss(student.logits, teacher.logits, self.config.distill_temperature)
            losses["distillation"] = Term(kd, self.config.distill_weight)
        run.backward_and_step(losses)
        self.remember(batch, v_s, v_t, momentum=self.config.momentum)
        self.log_transfer(run, loss_s.detach(), loss_t.detach())

    def embedded(self, student: Output, teacher: Output) -> tuple[Tensor, Tensor]:
        """Return v_s and v_t, each (B, d)."""
        return self.embed_s(student.pooled), self.embed_t(teacher.pooled)

    def compared(self, batch: Batch) -> Tensor:
        """Return c (B, K + 1): indices of training images, the image itself first."""
        if self.config.label_free:
            shape = (len(batch.index), self.num_negatives)
            drawn = torch.randint(self.task.num_train, shape, device=batch.index.device)
        else:
            drawn = draw_negatives(batch.labels, self.task.train_labels, self.num_negatives, repeat=self.repeat)
        return torch.cat([batch.index[:, None], drawn], dim=1)

    def remember(self, batch: Batch, v_s: Tensor, v_t: Tensor, *, momentum: float) -> None:
        """Update both memories at the batch's images."""
        self.memory_s.update(batch.index, v_s, momentum)
        self.memory_t.update(batch.index, v_t, momentum)

    def log_transfer(self, run: Run, loss_s: Tensor, loss_t: Tensor) -> None:
        """Log both sides of the contrast, the sum that they would have without any transfer, and how far they are below
        it."""
        reference = 2 * indifferent_loss(self.num_negatives)
        run.log(
            contrast_student=loss_s,
            contrast_teacher=loss_t,
            contrast_reference=reference,
            contrast_below_reference=reference - loss_s - loss_t,
        )
