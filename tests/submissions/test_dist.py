"""DIST computes what the authors' code computes, and asks for the teacher's relations, not for its probabilities."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.submissions.dist import correlation_loss, dist_losses
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted


@in_both_precisions
@pytest.mark.parametrize("column", range(5))
def test_losses_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, column: int) -> None:
    golden = read_golden("dist.npz", dtype)
    student = golden.variable("z_s")
    inter, intra = dist_losses(student, golden.tensor("z_t"), golden.number("tau", column))
    loss = golden.number("beta", column) * inter + golden.number("gamma", column) * intra
    golden.assert_close(inter, "inter", column)
    golden.assert_close(intra, "intra", column)
    golden.assert_close(loss, "losses", column)
    golden.assert_close(torch.autograd.grad(loss, student)[0], "grad_z_s", column)


def test_rows_that_rise_and_fall_with_the_teachers_cost_nothing() -> None:
    rows = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)).double()
    scale, shift = torch.tensor([[0.1], [1.0], [3.0], [20.0]]), torch.tensor([[5.0], [0.0], [-1.0], [2.0]])
    assert correlation_loss(scale * rows + shift, rows).item() == pytest.approx(0, abs=1e-7)
    assert correlation_loss(-rows, rows).item() == pytest.approx(2)


def test_the_loss_has_the_weights_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    inter, intra = dist_losses(student.logits, teacher.logits, 3.0)
    method = a_method("dist", inter_weight=0.5, intra_weight=0.25, temperature=3.0)
    assert weighted(method.loss(a_batch(), student, teacher)) == {
        "cross_entropy": F.cross_entropy(student.logits, a_batch().labels).item(),
        "inter": 0.5 * inter.item(),
        "intra": 0.25 * intra.item(),
    }
