"""Attention transfer computes what the authors' code computes, on grids of equal and of different sizes."""

import pytest
import torch

from benchmark.submissions.at import at_loss, attention
from kdbench.blocks import on_common_grid
from kdbench.spec import Family
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted

CASES = ["same", "student_finer", "teacher_finer", "p4"]


@in_both_precisions
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("at.npz", dtype, case)
    features, teacher, power = golden.variable("f_s"), golden.tensor("f_t"), golden.number("p")
    loss = at_loss(features, teacher, power)
    golden.assert_close(loss, "loss")
    golden.assert_close(torch.autograd.grad(loss, features)[0], "grad_f_s")
    for network, feature_map in zip(("s", "t"), on_common_grid(features, teacher), strict=True):
        golden.assert_close(attention(feature_map, power), f"q_{network}")


def test_the_default_weight_is_that_of_the_official_code() -> None:
    assert a_method("at").config.beta == read_golden("at.npz", torch.float64).number("weight")


def test_signs_and_scale_of_the_features_do_not_matter() -> None:
    feature_map = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    assert at_loss(-2 * feature_map, feature_map, 3.0).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_the_last_three_stages_are_summed_with_the_weight_of_the_settings(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    method = a_method("at", a_task(teacher, student), beta=2.0)
    assert outputs[0].stages is not None
    assert outputs[1].stages is not None
    losses = [at_loss(*maps, 2.0).item() for maps in zip(outputs[0].stages, outputs[1].stages, strict=True)]
    assert weighted(method.loss(a_batch(), *outputs))["attention"] == pytest.approx(2 * sum(losses[1:]))


def test_a_power_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"power must be at least 1, got 0\.5"):
        a_method("at", power=0.5)
