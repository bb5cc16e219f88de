"""Visual-linguistic distillation: its decoupled term is DKD's official one, the others keep their identities."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.submissions.lm import kd_loss
from benchmark.submissions.vlfkd import (
    AttentionPool,
    Pdd,
    VisualLinguistic,
    decouple,
    gram_loss,
    nmse_loss,
    pdd_loss,
    softmax_divergence,
)
from kdbench.api import Batch, Output, Shapes, Task
from kdbench.errors import SubmissionError
from kdbench.methods.loading import parse_config

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSES, CHANNELS, WIDTH = 4, 6, 5
Arrays = dict[str, NDArray[Any]]
seeds = st.integers(0, 10**6)


@pytest.fixture(scope="module")
def golden() -> Arrays:
    with np.load(GOLDEN / "dkd.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def assert_close(actual: Tensor, expected: NDArray[Any]) -> None:
    """Equal to 1e-5 of the largest value."""
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pdd(student: Tensor, teacher: Tensor, labels: Tensor, kind: Pdd = "mixed", **changes: float) -> Tensor:
    settings = {"temperature": 1.0, "target_weight": 0.5, "others_weight": 0.5} | changes
    return pdd_loss(student, teacher, labels, kind=kind, **settings)


@pytest.mark.parametrize("column", range(6))
def test_dkd_and_its_gradient_are_those_of_the_official_code(golden: Arrays, column: int) -> None:
    student = torch.from_numpy(golden["z_s"]).requires_grad_()
    teacher, labels = torch.from_numpy(golden["z_t"]), torch.from_numpy(golden["target"])
    alpha, beta, temperature = (float(golden[name][column]) for name in ("alpha", "beta", "T"))
    settings = {"temperature": temperature, "target_weight": alpha, "others_weight": beta}
    loss = pdd(student, teacher, labels, "dkd", **settings)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(golden["loss"][column], rel=1e-5)
    assert student.grad is not None
    assert_close(student.grad, golden["grad_z_s"][column])
    for term, weights in {"tckd": (1.0, 0.0), "nckd": (0.0, 1.0)}.items():
        alone = settings | dict(zip(("target_weight", "others_weight"), weights, strict=True))
        assert pdd(student, teacher, labels, "dkd", **alone).item() == pytest.approx(golden[term][column], rel=1e-5)


def test_probabilities_are_taken_apart_as_in_the_official_code(golden: Arrays) -> None:
    labels = torch.from_numpy(golden["target"])
    for who in ("s", "t"):
        target, others = decouple(torch.from_numpy(golden[f"z_{who}"]), labels, 4.0)
        expected = golden[f"nontarget_{who}_T4"][~F.one_hot(labels, 10).bool().numpy()].reshape(8, 9)
        assert_close(target.exp(), golden[f"binary_{who}_T4"])
        assert_close(others.exp(), expected)


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    """KL of each row, from log-probabilities."""
    return (teacher.exp() * (teacher - student)).sum(dim=1)


@given(seed=seeds, temperature=st.floats(0.5, 8))
def test_ordinary_distillation_is_the_sum_of_both_parts_for_every_image(seed: int, temperature: float) -> None:
    """Zhao et al. 2022, eq. 7: KD = TCKD + p_non NCKD, with the teacher's p_non."""
    student, teacher = random(seed, 5, CLASSES).double(), random(seed + 1, 5, CLASSES).double()
    labels = torch.arange(5) % CLASSES
    s, t = (decouple(logits, labels, temperature) for logits in (student, teacher))
    parts = divergence(s.target, t.target) + t.target[:, 1].exp() * divergence(s.others, t.others)
    whole = divergence(*(F.log_softmax(logits / temperature, dim=1) for logits in (student, teacher)))
    torch.testing.assert_close(parts.double(), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["dkd", "literal_mse"])
@given(seed=seeds, shift=st.floats(-5, 5))
def test_a_student_like_the_teacher_pays_nothing_without_the_label(kind: Pdd, seed: int, shift: float) -> None:
    logits, labels = random(seed, 5, CLASSES), torch.arange(5) % CLASSES
    assert pdd(logits + shift, logits, labels, kind).item() == pytest.approx(0, abs=1e-5)
    assert pdd(random(seed + 1, 5, CLASSES), logits, labels, kind).item() > 1e-4


def corrected(teacher: Tensor, labels: Tensor) -> Tensor:
    """Logits whose p_y lies halfway between the teacher's and 1, and whose other classes are the teacher's."""
    probabilities = teacher.softmax(dim=1)
    is_label = F.one_hot(labels, teacher.shape[1])
    return ((probabilities + is_label) / 2).log()


@given(seed=seeds)
def test_the_mixed_term_is_least_for_a_student_halfway_between_teacher_and_label(seed: int) -> None:
    teacher, labels = random(seed, 5, CLASSES), torch.arange(5) % CLASSES
    student = corrected(teacher, labels).requires_grad_()
    loss = pdd(student, teacher, labels)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert gradient.abs().max().item() < 1e-6
    assert pdd(teacher, teacher, labels).item() > 1e-3


def test_the_mixed_term_of_one_image_is_the_formula() -> None:
    """p_y is 1/2 for the teacher and 1/4 for the student; the others are as (2, 1, 1) and as (1, 1, 1)."""
    teacher, student = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log(), torch.full((1, 4), 0.25).log()
    target = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.75)
    others = 0.5 * math.log(1.5) + 2 * 0.25 * math.log(0.75)
    label = torch.tensor([0])
    assert pdd(student, teacher, label).item() == pytest.approx(0.5 * target + 0.5 * others, rel=1e-5)
    assert pdd(student, teacher, label, "binary").item() == pytest.approx(0.5 * target, rel=1e-5)
    literal = 0.25**2 + (0 + 2 * 0.125**2) / 3
    assert pdd(student, teacher, label, "literal_mse").item() == pytest.approx(0.5 * literal, rel=1e-5)


@pytest.mark.parametrize("kind", ["mixed", "dkd", "binary", "literal_mse"])
def test_the_decoupled_term_stays_finite_for_a_teacher_that_is_sure_and_wrong(kind: Pdd) -> None:
    student = torch.zeros(1, CLASSES).requires_grad_()
    loss = pdd(student, torch.tensor([[-200.0, 200.0, 0.0, 0.0]]), torch.tensor([0]), kind)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@given(seed=seeds, scale=st.floats(0.01, 100))
def test_nmse_is_one_for_a_student_that_knows_the_mean_alone_and_has_no_scale(seed: int, scale: float) -> None:
    teacher = random(seed, 3, CHANNELS, 2, 2) + 1
    teacher_mean, student = teacher.mean().expand_as(teacher), random(seed + 1, 3, CHANNELS, 2, 2)
    assert nmse_loss(teacher_mean, teacher).item() == pytest.approx(1, rel=1e-4)
    assert nmse_loss(teacher, teacher).item() == 0
    silent = 1 + teacher.mean() ** 2 / teacher.var(correction=0)
    assert nmse_loss(torch.zeros_like(teacher), teacher).item() == pytest.approx(silent.item(), rel=1e-4)
    scaled = nmse_loss(scale * student, scale * teacher).item()
    assert scaled == pytest.approx(nmse_loss(student, teacher).item(), rel=1e-3)


@given(seed=seeds, scale=st.floats(0.01, 100))
def test_the_gram_loss_sees_neither_the_length_of_tokens_nor_a_rotation_of_channels(seed: int, scale: float) -> None:
    student, teacher = random(seed, 2, CHANNELS, 2, 3), random(seed + 1, 2, CHANNELS, 2, 3)
    lengths = scale * (1 + torch.arange(6).view(1, 1, 2, 3))
    rotation = torch.linalg.qr(random(seed + 2, CHANNELS, CHANNELS))[0]
    rotated = torch.einsum("cd,bdhw->bchw", rotation, teacher)
    expected = gram_loss(student, teacher).item()
    assert gram_loss(student * lengths, teacher).item() == pytest.approx(expected, rel=1e-3)
    assert gram_loss(rotated, teacher).item() == pytest.approx(0, abs=1e-6)
    assert expected > 1e-4


def test_the_gram_loss_of_two_positions_is_the_squared_difference_of_cosines() -> None:
    student = torch.tensor([[[[1.0, 0.0]], [[0.0, 3.0]]]])  # orthogonal
    teacher = torch.tensor([[[[1.0, 2.0]], [[1.0, 2.0]]]])  # parallel
    assert gram_loss(student, teacher).item() == pytest.approx(2 / 4)


@given(seed=seeds, shift=st.floats(-5, 5))
def test_the_softmax_divergence_is_kl_from_the_teacher_summed_over_channels(seed: int, shift: float) -> None:
    student, teacher = random(seed, 3, CHANNELS), random(seed + 1, 3, CHANNELS)
    s, t = F.log_softmax(student, dim=1), F.log_softmax(teacher, dim=1)
    value = softmax_divergence(student + shift, teacher).item()
    assert value == pytest.approx(divergence(s, t).mean().item(), rel=1e-3, abs=1e-5)


def test_no_loss_reaches_the_teacher() -> None:
    student, teacher = (random(seed, 3, CHANNELS, 2, 2).requires_grad_() for seed in (0, 1))
    labels = torch.zeros(3, dtype=torch.int64)
    losses = [nmse_loss(student, teacher), gram_loss(student, teacher)]
    losses.append(softmax_divergence(student.mean(dim=(2, 3)), teacher.mean(dim=(2, 3))))
    losses.append(pdd(student.mean(dim=(2, 3)), teacher.mean(dim=(2, 3)), labels))
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None


@pytest.mark.parametrize("channels", [CHANNELS, 128])
def test_the_pool_is_clips_multi_head_attention(channels: int) -> None:
    torch.manual_seed(0)
    pool, feature_map = AttentionPool((channels, 2, 3), WIDTH), random(1, 4, channels, 2, 3)
    tokens = feature_map.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens]) + pool.position[:, None]
    expected, _ = F.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=channels,
        num_heads=max(1, channels // 64),
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.query.bias, torch.zeros(channels), pool.value.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.output.weight,
        out_proj_bias=pool.output.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.query.weight,
        k_proj_weight=pool.key.weight,
        v_proj_weight=pool.value.weight,
    )
    torch.testing.assert_close(pool(feature_map), expected.squeeze(0), rtol=0, atol=1e-5)


def shapes(family: Any, channels: int, side: int) -> Shapes:
    feature_map = (channels, side, side)
    return Shapes(family, channels, feature_map, (feature_map,) * 4, None, 0)


def a_method(
    student_grid: int = 4, teacher_grid: int = 2, teacher_channels: int = CHANNELS, steps: int = 40, **settings: Any
) -> VisualLinguistic:
    torch.manual_seed(0)
    task = Task(
        num_classes=CLASSES,
        num_train=100,
        train_labels=torch.arange(100) % CLASSES,
        teacher=shapes("cnn", teacher_channels, teacher_grid),
        student=shapes("vit", WIDTH, student_grid),
        total_steps=3 * steps,
        epochs=3,
        seed=0,
        device=torch.device("cpu"),
    )
    return VisualLinguistic(task, VisualLinguistic.Config(**settings))


class Images:
    """Stands for the harness in `prepare`: one channel of the teacher's map for each class."""

    def __init__(self) -> None:
        self.drawn = 0
        self.logged: dict[str, Tensor] = {}

    def batches(self, n: int) -> Iterator[Batch]:
        for number in range(n):
            self.drawn += 1
            labels = torch.arange(16) % CLASSES
            images = F.one_hot(labels, CHANNELS)[:, :, None, None] + 0.1 * random(number, 16, CHANNELS, 2, 2)
            yield Batch(images, labels, torch.arange(16))

    def teacher_forward(self, images: Tensor) -> Output:
        return Output(torch.zeros(len(images), CLASSES), feature_map=images)

    def log(self, **scalars: Tensor) -> None:
        self.logged |= scalars


def test_prepare_trains_the_teachers_pool_in_one_pass_and_nothing_else() -> None:
    method, run = a_method(pool_learning_rate=1e-2), Images()
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    method.prepare(run)  # type: ignore[arg-type]
    changed = {name for name, p in method.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if name.startswith(("teacher_pool.", "pool_classifier."))}
    assert run.drawn == 40
    assert run.logged["teacher_pool_accuracy"].item() > 0.9


def test_the_teachers_pool_belongs_to_an_optimiser_of_its_own() -> None:
    method = a_method()
    (optimizer,) = method.optimizers().values()
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in [*method.teacher_pool.parameters(), *method.pool_classifier.parameters()]}


def outputs() -> tuple[Batch, Output, Output]:
    """A batch, what a student says about it, with gradient, and what a teacher does."""
    batch = Batch(torch.zeros(8, 3, 8, 8), torch.arange(8) % CLASSES, torch.arange(8))
    tokens, logits = random(0, 8, WIDTH, 4, 4).requires_grad_(), random(1, 8, CLASSES).requires_grad_()
    teacher = Output(random(2, 8, CLASSES), feature_map=random(3, 8, CHANNELS, 2, 2).relu())
    return batch, Output(logits, feature_map=tokens), teacher


def test_terms_train_the_students_side_and_leave_the_teachers_pool_alone() -> None:
    method, (batch, student, teacher) = a_method(), outputs()
    terms: Any = method.loss(batch, student, teacher)
    values = [terms[name].value for name in ("global", "patch", "linguistic")]
    for value in values:
        gradients = torch.autograd.grad(value, [student.feature_map, method.projection.weight], retain_graph=True)
        assert all(gradient.abs().max() > 0 for gradient in gradients)
    torch.stack(values).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.any() for p in method.student_pool.parameters())
    assert all(p.grad is None for p in [*method.teacher_pool.parameters(), *method.pool_classifier.parameters()])


def test_terms_are_the_losses_of_the_projected_tokens_with_the_weights_of_the_config() -> None:
    method, (batch, student, teacher) = a_method(patch="gram", patch_weight=7.0), outputs()
    terms: Any = method.loss(batch, student, teacher)
    projected = F.avg_pool2d(method.projection(student.feature_map), 2)
    torch.testing.assert_close(terms["patch"].value, gram_loss(projected, teacher.feature_map))
    whole = softmax_divergence(projected.mean(dim=(2, 3)), teacher.feature_map.mean(dim=(2, 3)))
    torch.testing.assert_close(terms["global"].value, whole)
    pools = method.student_pool(projected), method.teacher_pool(teacher.feature_map)
    torch.testing.assert_close(terms["linguistic"].value, softmax_divergence(*pools))
    assert torch.equal(terms["pdd"].value, pdd(student.logits, teacher.logits, batch.labels))
    assert torch.equal(terms["cross_entropy"], F.cross_entropy(student.logits, batch.labels))
    assert [terms[name].weight for name in ("global", "patch", "linguistic", "pdd")] == [0.5, 7.0, 0.2, 1.0]


def test_logit_matching_can_be_added() -> None:
    batch, student, teacher = outputs()
    assert "distillation" not in cast("dict[str, Any]", a_method().loss(batch, student, teacher))
    terms: Any = a_method(distill_weight=2.0, distill_temperature=3.0).loss(batch, student, teacher)
    assert terms["distillation"] == (kd_loss(student.logits, teacher.logits, 3.0), 2.0)


def test_the_projection_is_one_linear_map_of_the_student_without_bias() -> None:
    method = a_method()
    assert isinstance(method.projection, nn.Conv2d)
    assert method.projection.weight.shape == (CHANNELS, WIDTH, 1, 1)
    assert method.projection.bias is None


def test_the_pool_is_as_wide_as_clips_where_the_teacher_has_the_channels_for_it() -> None:
    assert a_method().pool_classifier.in_features == 128
    assert a_method(teacher_channels=600).pool_classifier.in_features == 512
    assert a_method(pool_width=9).pool_classifier.in_features == 9


def test_a_teacher_with_a_finer_grid_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"teacher's grid \(7, 7\) is finer than the student's \(4, 4\)") as caught:
        a_method(teacher_grid=7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"global_weight": -1},
        {"patch_weight": math.inf},
        {"linguistic_weight": math.nan},
        {"pdd_weight": -1},
        {"pdd_target_weight": -1},
        {"pdd_others_weight": -1},
        {"pdd_temperature": 0},
        {"pool_learning_rate": 0},
        {"distill_weight": -1},
        {"distill_temperature": 0},
        {"pool_width": 1},
        {"patch": "mse"},
        {"pdd": "kd"},
    ],
    ids=str,
)
def test_settings_without_meaning_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SubmissionError, match=next(iter(values))):
        parse_config(VisualLinguistic, values)
