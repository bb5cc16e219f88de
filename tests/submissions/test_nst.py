"""Neuron selectivity transfer computes what the official code computes."""

import pytest
import torch

from benchmark.submissions.nst import kernel, nst_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted


@in_both_precisions
@pytest.mark.parametrize("case", ["same", "student_finer", "teacher_finer"])
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("nst.npz", dtype, case)
    features = golden.variable("f_s")
    loss = nst_loss(features, golden.tensor("f_t"))
    golden.assert_close(loss, "loss")
    golden.assert_close(torch.autograd.grad(loss, features)[0], "grad_f_s")


def test_the_default_weight_is_that_of_the_official_code() -> None:
    weight = read_golden("nst.npz", torch.float64).number("weight")
    assert a_method("nst").config.selectivity_weight == weight


def test_the_kernel_is_the_square_of_the_product() -> None:
    first, second = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    assert kernel(first, second).item() == (11**2 + 1**2) / 2


def test_order_sign_and_scale_of_the_channels_do_not_matter() -> None:
    teacher = torch.randn(4, 6, 3, 3, generator=torch.Generator().manual_seed(0)).double()
    assert nst_loss(-5 * teacher.flip(1), teacher).item() == pytest.approx(0, abs=1e-12)


def test_channels_of_zeros_have_a_gradient_of_numbers() -> None:
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(nst_loss(student, torch.ones(2, 5, 4, 4)), student)
    assert gradient.isfinite().all()


def test_the_last_three_stages_are_summed_with_the_weight_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    terms = weighted(a_method("nst", selectivity_weight=2.0).loss(a_batch(), student, teacher))
    losses = [nst_loss(*maps).item() for maps in zip(student.stages[1:], teacher.stages[1:], strict=True)]
    assert terms["selectivity"] == pytest.approx(2 * sum(losses))
