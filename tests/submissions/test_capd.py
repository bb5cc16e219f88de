"""CAPD has no official code: what its equations imply is tested instead, by identities, limits and naive versions."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.submissions.capd import CrossArchitectureProjection as Capd
from benchmark.submissions.capd import GroupLinear, attention_output, normalised_mse, replace_partly, value_relation
from benchmark.submissions.lm import kd_loss
from kdbench.api import Output, Shapes, Term
from kdbench.errors import SubmissionError
from kdbench.methods.loading import load_submission
from kdbench.methods.preflight import check_method
from kdbench.testsets.spec import load_spec
from tests.planned_runs import trial_on
from tests.submissions.small_networks import (
    CLASSES,
    CNN,
    GRID,
    HEAD_WIDTH,
    HEADS,
    IMAGES,
    TOKENS,
    Student,
    a_batch,
    a_method,
    a_task,
    a_teacher,
    qkv,
)


def terms_of(method: Capd, teacher: Output) -> dict[str, Term]:
    torch.manual_seed(4)
    return method.loss(a_batch(), Student()(a_batch().images), teacher)


def with_class_token(patches: Tensor) -> Tensor:
    """The patches behind a token that differs from all of them."""
    return torch.cat([torch.full_like(patches[:, :, :1], 100.0), patches], dim=2)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_a_student_with_the_teachers_q_k_and_v_has_no_projection_loss(probability: float) -> None:
    method = a_method(replace_probability=probability).eval()
    torch.manual_seed(4)
    student = Student()(a_batch().images)
    q, k, v = (with_class_token(tensor.detach()) for tensor in method.attention_projector(student.stages[2]))
    terms = method.loss(a_batch(), student, a_teacher((q, k, v)))
    assert terms["attention"].value.item() == 0
    assert terms["value_relation"].value.item() == 0


def gradients(term: Term, module: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(term.value, list(module.parameters()), retain_graph=True))


def test_with_every_element_replaced_the_attention_term_is_zero_and_has_no_gradient() -> None:
    method = a_method(replace_probability=1.0)
    terms = terms_of(method, a_teacher())
    assert terms["attention"].value.item() == 0
    assert not any(gradient.any() for gradient in gradients(terms["attention"], method.attention_projector))
    assert all(gradient.any() for gradient in gradients(terms["value_relation"], method.attention_projector))


def test_with_no_element_replaced_it_is_plain_attention() -> None:
    method, teacher = a_method(replace_probability=0.0), a_teacher()
    torch.manual_seed(4)
    student = Student()(a_batch().images)
    ours = F.scaled_dot_product_attention(*method.attention_projector(student.stages[2]))
    q, k, v = (tensor[:, :, 1:] for tensor in teacher.attention)
    theirs = F.scaled_dot_product_attention(q, k, v)
    expected = F.mse_loss(ours, theirs) / theirs.var(correction=0)
    value = method.loss(a_batch(), student, teacher)["attention"].value
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_attention_output_is_that_of_torch() -> None:
    torch.testing.assert_close(attention_output(*qkv(0)), F.scaled_dot_product_attention(*qkv(0)))


def test_value_relation_compares_tokens_within_a_head() -> None:
    v = qkv(0)[2]
    relation = value_relation(v)
    assert relation.shape == (IMAGES, HEADS, TOKENS, TOKENS)
    expected = torch.dot(v[1, 2, 5], v[1, 2, 9]) / math.sqrt(HEAD_WIDTH)
    assert relation[1, 2, 5, 9].item() == pytest.approx(expected.item(), rel=1e-5)


def test_elements_are_replaced_one_by_one_with_the_given_probability() -> None:
    torch.manual_seed(0)
    student, teacher = torch.zeros(100, 100), torch.ones(100, 100)
    first, second = (replace_partly(student, teacher, 0.3) for _ in range(2))
    assert first.mean().item() == pytest.approx(0.3, abs=0.02)
    assert (first * second).mean().item() == pytest.approx(0.3**2, abs=0.02)
    rows = first.mean(dim=1)
    assert rows.std().item() == pytest.approx(math.sqrt(0.3 * 0.7 / 100), rel=0.3)


def test_q_k_and_v_are_those_of_three_separate_convolutions() -> None:
    projector = a_method().attention_projector
    stage = torch.randn(IMAGES, 6, GRID, GRID)
    weights, biases = projector.convolution.weight.chunk(3), projector.convolution.bias.chunk(3)  # type: ignore[union-attr]
    for feature, weight, bias in zip(projector(stage), weights, biases, strict=True):
        plain = F.conv2d(stage, weight, bias, padding=1).view(IMAGES, HEADS, HEAD_WIDTH, GRID, GRID)
        assert feature.shape == (IMAGES, HEADS, TOKENS, HEAD_WIDTH)
        torch.testing.assert_close(feature[1, 2, 3 * GRID + 5], plain[1, 2, :, 3, 5])


def test_a_student_of_zeros_has_an_error_of_one() -> None:
    torch.manual_seed(0)
    teacher = 7 * torch.randn(64, 64)
    assert normalised_mse(torch.zeros(64, 64), teacher).item() == pytest.approx(1, abs=1e-2)
    centred = teacher - teacher.mean()
    assert normalised_mse(torch.zeros(64, 64), centred).item() == pytest.approx(1, rel=1e-5)


@given(scale=st.floats(0.01, 100))
def test_the_error_does_not_depend_on_the_unit(scale: float) -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 32, 32)
    value = normalised_mse(scale * student, scale * teacher)
    assert value.item() == pytest.approx(normalised_mse(student, teacher).item(), rel=1e-4)


def test_the_error_has_no_gradient_for_the_teacher() -> None:
    student, teacher = torch.zeros(5, requires_grad=True), torch.arange(5.0).requires_grad_()
    normalised_mse(student, teacher).backward()  # type: ignore[no-untyped-call]
    assert teacher.grad is None
    assert student.grad is not None


def test_every_term_starts_near_one() -> None:
    terms = terms_of(a_method(replace_probability=0.0), a_teacher())
    for name in ("attention", "value_relation", "features"):
        assert 0.5 < terms[name].value.item() < 2, name


def layer_of_each_token(projector: GroupLinear, side: int) -> Tensor:
    """(side, side): which layer a token goes through, read off biases that number them."""
    for number, layer in enumerate(projector.layers):
        nn.init.zeros_(layer.get_parameter("weight"))
        nn.init.constant_(layer.get_parameter("bias"), number)
    tokens: Tensor = projector.eval()(torch.randn(1, 5, side, side))
    return tokens[0, :, 0].long().view(side, side)


@pytest.mark.parametrize(("side", "layers"), [(14, 16), (8, 4)])
def test_contiguous_tiles_of_4_x_4_share_a_layer(side: int, layers: int) -> None:
    layer = layer_of_each_token(GroupLinear((side, side), 5, 3, dropout=0.1), side)
    assert set(layer.flatten().tolist()) == set(range(layers))
    for number in range(layers):
        rows, columns = (layer == number).nonzero().unbind(dim=1)
        height, width = (int(x.max() - x.min()) + 1 for x in (rows, columns))
        assert len(rows) == height * width, "the tile is a full rectangle"
        assert max(height, width) <= 4
        assert int(rows.min()) % 4 == int(columns.min()) % 4 == 0


def test_each_token_goes_through_the_layer_of_its_own_tile() -> None:
    torch.manual_seed(0)
    projector = GroupLinear((8, 8), 5, 3, dropout=0.0)
    stage = torch.randn(2, 5, 8, 8)
    tokens = projector(stage)
    for row, column in ((0, 0), (3, 4), (4, 3), (7, 7), (2, 6)):
        layer = projector.layers[2 * (row // 4) + column // 4]
        torch.testing.assert_close(tokens[:, 8 * row + column], layer(stage[:, :, row, column]))


def test_dropout_acts_on_what_goes_into_the_projector() -> None:
    torch.manual_seed(0)
    projector = GroupLinear((8, 8), 50, 3, dropout=0.1)
    stage = torch.ones(1, 50, 8, 8)
    assert not torch.equal(projector(stage), projector(stage))
    projector.eval()
    assert torch.equal(projector(stage), projector(stage))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("attention_weight", -1.0),
        ("feature_weight", math.inf),
        ("adversarial_weight", math.nan),
        ("distill_weight", -0.1),
        ("adversarial_warmup", 1.1),
        ("replace_probability", -0.1),
        ("view_probability", 2.0),
        ("dropout", 1.0),
        ("dropout", math.nan),
        ("temperature", 0.0),
        ("discriminator_learning_rate", 0.0),
    ],
)
def test_settings_without_meaning_are_refused(setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=setting):
        Capd.Config(**{setting: value})  # type: ignore[arg-type]


def test_the_terms_enter_with_the_weights_of_the_config() -> None:
    terms = terms_of(a_method(attention_weight=2.0, feature_weight=3.0), a_teacher())
    weights = {name: term.weight for name, term in terms.items()}
    assert weights == {"cross_entropy": 1, "attention": 2, "value_relation": 2, "features": 3}


def test_logit_matching_can_be_added() -> None:
    teacher = a_teacher()
    torch.manual_seed(4)
    student = Student()(a_batch().images)
    method = a_method(distill_weight=0.9, temperature=2.0)
    term = method.loss(a_batch(), student, teacher)["distillation"]
    assert term == (kd_loss(student.logits, teacher.logits, 2.0), 0.9)
    assert "distillation" not in a_method().loss(a_batch(), student, teacher)


@pytest.mark.parametrize(("track", "layers"), [("synthetic", 4), ("cifar10-32", 4), ("cifar10-224", 16)])
def test_it_fits_the_networks_of_every_track(track: str, layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(layers=0)

    class Noted(GroupLinear):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            made.layers = len(self.layers)

    method = load_submission("capd")
    monkeypatch.setitem(method.__init__.__globals__, "GroupLinear", Noted)
    check_method(method, method.Config(), trial_on(load_spec().track(track)), "vit-to-cnn")
    assert made.layers == layers


def test_a_teacher_without_attention_is_refused_before_training() -> None:
    method = load_submission("capd")
    with pytest.raises(SubmissionError, match="no attention") as caught:
        check_method(method, method.Config(), trial_on(), "cnn-to-cnn")
    assert "\n" not in str(caught.value)


def with_stage(side: int) -> Shapes:
    return replace(CNN, stages=(*CNN.stages[:2], (6, side, side), CNN.stages[3]))


def test_grids_that_cannot_be_matched_are_refused() -> None:
    with pytest.raises(ValueError, match=r"stage 3 is 7 x 7, the teacher's patches are 8 x 8"):
        Capd(a_task(student=with_stage(7)), Capd.Config())


@pytest.mark.parametrize("side", [4, 16])
def test_a_stage_of_half_or_twice_the_grid_is_resized(side: int) -> None:
    method = Capd(a_task(student=with_stage(side)), Capd.Config())
    stage = F.interpolate(torch.ones(IMAGES, 6, 1, 1), size=(side, side))
    resized = method._stage(Output(torch.zeros(IMAGES, CLASSES), stages=(stage,) * 4))
    torch.testing.assert_close(resized, torch.ones(IMAGES, 6, GRID, GRID))
