"""Cross-architecture projection: Liu et al. (2022), "Cross-architecture knowledge distillation", arXiv:2207.05273.

A ViT teaches a CNN. The student's stage 3 has the grid of the teacher's patch tokens. Two projectors, which are
discarded at the end, map this stage to the teacher's attention and to its features. Two things make the match robust: a
discriminator learns to distinguish the features of the two networks, and the student also sees other views of the
images.

    L       = CE(z_s, y) + w1 L_proj1 + w2 L_proj2 + lambda L_MVG
    Attn    = softmax(Q K^T / sqrt(d)) V                      one output per head, from the last block's patch tokens
    PCAttn  = the same with each element of Q_S, K_S, V_S replaced by the teacher's with probability p
    L_proj1 = ||Attn_T - PCAttn_S||^2 + ||V_T V_T^T / sqrt(d) - V_S V_S^T / sqrt(d)||^2
    L_proj2 = ||h_T - h'_S||^2                                h'_S: stage 3 through the group-wise linear projector
    L_MVG   = mean softplus(-D(h'_S~))                        h'_S~: the same for a view x~ of the images
    L_MAD   = mean softplus(-D(h_T)) + softplus(D(h'_S~))     trains D, with an optimiser of its own

The authors published no code. p = 1/2, the tiles of 4 x 4 and a dropout of .1 follow other readings of the paper. These
choices are ours:

- The loss includes CE, which the paper's sum lacks. Nothing else trains stage 4 and the classifier, since the other
  terms end at stage 3.
- ||.||^2 is the mean square divided by the variance of the teacher's tensor, so every term of a student that outputs
  zeros is about 1. Sums are about 10^6 times larger, and the value relation would then dominate the other terms.
- V V^T compares tokens within a head; the paper's "V . V" has no transpose.
- L_MVG is non-saturating. The paper's mean log(1 - D) has no gradient where D wins and no bound where D loses.
- D reads the mean token (D -> 256 -> 64 -> 1). It uses Adam at 1e-4 with betas (.5, .999), for one step per student
  step.
- lambda is .1, but 0 in the first tenth of the run, in which D learns; w1 = w2 = 1.
- A view uses one coin per image, and the strengths of the four transformations below.
- `paired` uses one view x~ for both networks and all terms, which saves the student's second pass. Without it, the
  student's batch statistics come from both views in turn.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Batch, Method, Output, Run, Task, Term

STAGE = 2  # stage 3, counted from 0
TILE = 4  # tokens per side that share one fully connected layer
COLOUR_STRENGTH = 0.4  # of saturation, contrast and brightness, in standard deviations of the normalised image
SMALLEST_CROP = 0.6  # share of the image's side
LARGEST_ROTATION = math.pi / 6  # radians in each direction
MASKED_SHARE = 0.2  # of the patches


def normalised_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error divided by the teacher's variance, both over all elements of the batch.

    The result is about 1 for a student of zeros, and exactly 1 if the teacher's mean is also 0.

    Args:
        student, teacher: float tensors of equal shape; no gradient flows to the teacher.
    """
    student, teacher = student.float(), teacher.detach().float()
    return F.mse_loss(student, teacher) / teacher.var(correction=0).clamp_min(1e-12)


def attention_output(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return softmax(Q K^T / sqrt(d)) V of each head; arguments and result are (B, heads, N, d)."""
    weights = (q @ k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])
    return weights.softmax(dim=-1).to(v.dtype) @ v


def value_relation(v: Tensor) -> Tensor:
    """Return V V^T / sqrt(d) of each head: (B, heads, N, d) to (B, heads, N, N)."""
    return v @ v.transpose(-1, -2) / math.sqrt(v.shape[-1])


def replace_partly(student: Tensor, teacher: Tensor, probability: float) -> Tensor:
    """Return the student's tensor, with each element replaced by the teacher's with the given probability."""
    replaced = torch.rand(student.shape, device=student.device) < probability
    return torch.where(replaced, teacher.to(student.dtype), student)


def discriminator_loss(teacher_score: Tensor, student_score: Tensor) -> Tensor:
    """Return L_MAD in nats: the cross-entropy of a discriminator whose scores (B, 1) should be high for the teacher."""
    return (F.softplus(-teacher_score.float()) + F.softplus(student_score.float())).mean()


def generator_loss(student_score: Tensor) -> Tensor:
    """Return L_MVG in nats: the mean of -log p, where p is D's probability that the student is the teacher."""
    return F.softplus(-student_score.float()).mean()


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) in nats at temperature T, the mean over the batch; logits are (B, C)."""
    student, teacher = (F.log_softmax(z.float() / temperature, dim=1) for z in (student_logits, teacher_logits))
    return F.kl_div(student, teacher.detach(), reduction="batchmean", log_target=True) * temperature**2


def random_view(images: Tensor, patch_grid: tuple[int, int], probability: float) -> Tensor:
    """Return x~: with the given probability, transform each normalised image of (B, 3, H, W) in all four ways."""
    transformed = mask_patches(crop_and_rotate(jitter_colours(images)), patch_grid)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, transformed, images)


def jitter_colours(images: Tensor) -> Tensor:
    """Change saturation, contrast and brightness of each image by up to `COLOUR_STRENGTH`."""
    saturation, contrast, brightness = (_uniform(images, -COLOUR_STRENGTH, COLOUR_STRENGTH) for _ in range(3))
    images = images + saturation * (images - images.mean(dim=1, keepdim=True))
    return images + contrast * (images - images.mean(dim=(1, 2, 3), keepdim=True)) + brightness


def crop_and_rotate(images: Tensor) -> Tensor:
    """Return a random square of each image, rotated about its centre and scaled bilinearly to the size of the image.

    Reflection fills the corners that rotate out of the image.
    """
    angle = _uniform(images, -LARGEST_ROTATION, LARGEST_ROTATION)[..., 0]
    side = _uniform(images, SMALLEST_CROP, 1)[..., 0]
    centre_x, centre_y = ((1 - side) * _uniform(images, -1, 1)[..., 0] for _ in range(2))
    # Coordinates are in [-1, 1]. Elementwise products, because autocast would round a matrix product.
    y, x = (side * ((2 * torch.arange(n, device=images.device) + 1) / n - 1) for n in images.shape[-2:])
    y = y.transpose(1, 2)
    turned_x = angle.cos() * x - angle.sin() * y + centre_x
    turned_y = angle.sin() * x + angle.cos() * y + centre_y
    where = torch.stack([turned_x, turned_y], dim=-1)
    return F.grid_sample(images, where, padding_mode="reflection", align_corners=False)


def mask_patches(images: Tensor, patch_grid: tuple[int, int]) -> Tensor:
    """Set each patch, with probability `MASKED_SHARE`, to 0, the mean colour of the training set."""
    kept = torch.rand(len(images), 1, *patch_grid, device=images.device) >= MASKED_SHARE
    return images * F.interpolate(kept.to(images.dtype), size=images.shape[-2:])


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    """Draw a number in [low, high) for each image: (B, 1, 1, 1)."""
    return low + (high - low) * torch.rand(len(images), 1, 1, 1, device=images.device)


class AttentionProjector(nn.Module):
    """The projector of partially cross attention: one 3 x 3 convolution that computes Q, K and V of a map."""

    def __init__(self, channels: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.convolution = nn.Conv2d(channels, 3 * heads * head_width, kernel_size=3, padding=1)

    def forward(self, stage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, C, g, g) to Q, K and V, each (B, heads, N, d)."""
        packed = self.convolution(stage).flatten(2).unflatten(1, (3, self.heads, -1))
        q, k, v = packed.transpose(-1, -2).unbind(dim=1)
        return q, k, v


class GroupLinear(nn.Module):
    """The group-wise linear projector: the tokens of a contiguous tile of 4 x 4 share one fully connected layer.

    14 x 14 tokens have ceil(14 / 4)^2 = 16 layers, and 8 x 8 tokens have 4.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, grid: tuple[int, int], channels: int, width: int, dropout: float) -> None:
        super().__init__()
        rows, columns = (torch.arange(side) // TILE for side in grid)
        tile = (rows[:, None] * (columns.max() + 1) + columns).flatten()
        order = tile.argsort(stable=True)
        self.register_buffer("order", order)
        self.register_buffer("inverse", order.argsort())
        self.sizes: list[int] = tile.bincount().tolist()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.Linear(channels, width) for _ in self.sizes)

    def forward(self, stage: Tensor) -> Tensor:
        """Map (B, C, g, g) to (B, N, D), with tokens in reading order."""
        tiles = self.dropout(as_tokens(stage))[:, self.order].split(self.sizes, dim=1)
        projected = [layer(tile) for layer, tile in zip(self.layers, tiles, strict=True)]
        return torch.cat(projected, dim=1)[:, self.inverse]


def as_tokens(stage: Tensor) -> Tensor:
    """Reshape (B, C, h, w) to (B, h * w, C), in reading order."""
    return stage.flatten(2).transpose(1, 2)


class CrossArchitectureProjection(Method):
    """Project the student's middle stage to the teacher's attention and features, against a discriminator."""

    name, paper, directions = "capd", "arXiv:2207.05273", ("vit-to-cnn",)
    summary = "projects a middle stage into the teacher's attention and features, and fools a discriminator"
    images = (
        "both networks see the images of the batch as they are, and the student also views of half of them that are "
        "changed in colour, cropped, rotated or masked in part"
    )
    needs = frozenset({"logits", "feature_map", "stages", "attention"})
    views = 2

    @dataclass(frozen=True)
    class Config:
        """Weights are w1, w2, lambda and that of T^2 KL, which is off; `adversarial_warmup` is a share of the run."""

        attention_weight: float = 1.0
        feature_weight: float = 1.0
        adversarial_weight: float = 0.1
        adversarial_warmup: float = 0.1
        replace_probability: float = 0.5
        dropout: float = 0.1
        view_probability: float = 0.5
        discriminator_learning_rate: float = 1e-4
        paired: bool = False
        distill_weight: float = 0.0
        temperature: float = 4.0

        def __post_init__(self) -> None:
            for name, value in vars(self).items():
                if name.endswith("weight") and not 0 <= value < math.inf:
                    raise ValueError(f"{name} must be finite and not negative, got {value}")
                if name in ("temperature", "discriminator_learning_rate") and not 0 < value < math.inf:
                    raise ValueError(f"{name} must be finite and above 0, got {value}")
                if name.endswith(("probability", "warmup")) and not 0 <= value <= 1:
                    raise ValueError(f"{name} must lie in [0, 1], got {value}")
            if not 0 <= self.dropout < 1:
                raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")

    config: Config

    def __init__(self, task: Task, config: Config) -> None:
        super().__init__(task, config)
        if task.teacher is None or task.teacher.attention is None:
            raise ValueError("its teacher has no attention to project into; capd needs a ViT as the teacher")
        heads, _, head_width = task.teacher.attention
        self.prefix, self.grid = task.teacher.prefix_tokens, task.teacher.feature_map[1:]
        channels, width = task.student.stages[STAGE][0], heads * head_width
        _require_matching(task.student.stages[STAGE][1:], self.grid)
        self.attention_projector = AttentionProjector(channels, heads, head_width)
        self.feature_projector = GroupLinear(self.grid, channels, width, config.dropout)
        self.discriminator = nn.Sequential(
            nn.Linear(width, 256), nn.LeakyReLU(0.2), nn.Linear(256, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.discriminator_learning_rate, betas=(0.5, 0.999)
        )

    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        return {"discriminator": self._discriminator_optimizer}

    def step(self, run: Run, batch: Batch) -> None:
        view = random_view(batch.images, self.grid, self.config.view_probability)
        images = view if self.config.paired else batch.images
        teacher, student = run.teacher_forward(images), run.student_forward(images)
        student_of_view = student if self.config.paired else run.student_forward(view)
        real = as_tokens(teacher.feature_map).mean(dim=1)
        fake = self.feature_projector(self._stage(student_of_view)).mean(dim=1)
        run.log(**self._train_discriminator(real, fake.detach()))
        losses = self.loss(batch, student, teacher)
        warm = run.progress >= self.config.adversarial_warmup
        losses["adversarial"] = Term(self.adversarial_loss(fake), self.config.adversarial_weight if warm else 0.0)
        run.backward_and_step(losses)

    def loss(self, batch: Batch, student: Output, teacher: Output | None) -> dict[str, Term]:
        """Return all terms except the adversarial one, which needs another view."""
        assert teacher is not None
        config, stage = self.config, self._stage(student)
        theirs = [tensor[:, :, self.prefix :] for tensor in teacher.attention]
        ours = self.attention_projector(stage)
        mixed = [replace_partly(s, t, config.replace_probability) for s, t in zip(ours, theirs, strict=True)]
        attention = normalised_mse(attention_output(*mixed), attention_output(*theirs))
        values = normalised_mse(value_relation(ours[2]), value_relation(theirs[2]))
        features = normalised_mse(self.feature_projector(stage), as_tokens(teacher.feature_map))
        terms = {
            "cross_entropy": Term(F.cross_entropy(student.logits, batch.labels)),
            "attention": Term(attention, config.attention_weight),
            "value_relation": Term(values, config.attention_weight),
            "features": Term(features, config.feature_weight),
        }
        if config.distill_weight:
            distillation = kd_loss(student.logits, teacher.logits, config.temperature)
            terms["distillation"] = Term(distillation, config.distill_weight)
        return terms

    def adversarial_loss(self, fake: Tensor) -> Tensor:
        """Return L_MVG of pooled student features (B, D), with the discriminator's parameters as constants."""
        frozen = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        return generator_loss(torch.func.functional_call(self.discriminator, frozen, (fake,)))

    def _train_discriminator(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Train the discriminator for one step on pooled features (B, D); return its previous loss and accuracy."""
        real_score, fake_score = self.discriminator(real), self.discriminator(fake)
        loss = discriminator_loss(real_score, fake_score)
        self._discriminator_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._discriminator_optimizer.step()
        right = torch.cat([real_score > 0, fake_score < 0])
        return {"discriminator_loss": loss, "discriminator_accuracy": right.float().mean()}

    def _stage(self, student: Output) -> Tensor:
        """Return the student's stage 3, resized to the teacher's grid."""
        stage = student.stages[STAGE]
        if stage.shape[-2:] == self.grid:
            return stage
        return F.interpolate(stage, size=self.grid, mode="bilinear", align_corners=False, antialias=True)


def _require_matching(stage: tuple[int, int], grid: tuple[int, int]) -> None:
    """Raise ValueError unless one grid is a whole multiple of the other."""
    if any(max(pair) % min(pair) for pair in zip(stage, grid, strict=True)):
        raise ValueError(
            f"the student's stage 3 is {stage[0]} x {stage[1]}, the teacher's patches are {grid[0]} x {grid[1]}; "
            "capd needs one to be a whole multiple of the other"
        )
