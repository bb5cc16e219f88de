"""Probabilistic knowledge transfer computes what the authors' code computes."""

import pytest
import torch

from benchmark.submissions.pkt import neighbours, pkt_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted


@in_both_precisions
@pytest.mark.parametrize("case", ["vec", "b16"])
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("pkt.npz", dtype, case)
    features = golden.variable("f_s")
    loss = pkt_loss(features, golden.tensor("f_t"))
    golden.assert_close(loss, "loss")
    golden.assert_close(torch.autograd.grad(loss, features)[0], "grad_f_s")


def test_the_default_weight_is_that_of_the_official_code() -> None:
    assert a_method("pkt").config.beta == read_golden("pkt.npz", torch.float64).number("weight")


def test_every_image_has_neighbours_with_probabilities_that_sum_to_one() -> None:
    vectors = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).double()
    torch.testing.assert_close(neighbours(vectors).sum(dim=1), torch.ones(5, dtype=torch.float64))
    assert pkt_loss(4 * vectors, vectors).item() == pytest.approx(0, abs=1e-8)


def test_a_vector_of_zeros_has_a_finite_gradient() -> None:
    student = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    student[1] = 0
    student.requires_grad_()
    loss = pkt_loss(student, torch.randn(4, 5, generator=torch.Generator().manual_seed(1)))
    assert torch.isfinite(torch.autograd.grad(loss, student)[0]).all()


def test_the_loss_has_the_weight_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    terms = weighted(a_method("pkt", beta=2.0).loss(a_batch(), student, teacher))
    assert terms["neighbours"] == 2 * pkt_loss(student.pooled, teacher.pooled).item()
