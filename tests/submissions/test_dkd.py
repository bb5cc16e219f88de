"""Decoupled distillation computes what the authors' code computes, alone and on standardised logits."""

from types import SimpleNamespace

import pytest
import torch

from benchmark.submissions.dkd import dkd_losses, warm_up
from benchmark.submissions.zscore import standardised
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted

ROUNDED_RUN = 1e-5  # the official code ran in float32


@pytest.mark.parametrize("column", range(6))
def test_losses_and_gradient_are_those_of_the_official_code(column: int) -> None:
    golden = read_golden("dkd.npz", torch.float64, tolerance=ROUNDED_RUN)
    student, labels = golden.variable("z_s"), golden.tensor("target")
    target, others = dkd_losses(student, golden.tensor("z_t"), labels, golden.number("T", column))
    golden.assert_close(target, "tckd", column)
    golden.assert_close(others, "nckd", column)
    loss = golden.number("alpha", column) * target + golden.number("beta", column) * others
    golden.assert_close(loss, "loss", column)
    golden.assert_close(torch.autograd.grad(loss, student)[0], "grad_z_s", column)


@in_both_precisions
@pytest.mark.parametrize("column", range(4))
def test_losses_on_standardised_logits_are_those_of_the_official_code(dtype: torch.dtype, column: int) -> None:
    golden = read_golden("zscore.npz", dtype)
    student, labels = golden.variable("z_s"), golden.tensor("target")
    logits = standardised(student), standardised(golden.tensor("z_t"))
    target, others = dkd_losses(*logits, labels, golden.number("T", column))
    loss = golden.number("dkd_alpha") * target + golden.number("dkd_beta") * others
    golden.assert_close(loss, "dkd_losses", column)
    golden.assert_close(torch.autograd.grad(loss, student)[0], "dkd_grad_z_s", column)


@pytest.mark.parametrize(("epoch", "factor"), [(0, 0.05), (9, 0.5), (19, 1.0), (20, 1.0), (239, 1.0)])
def test_the_warm_up_is_that_of_the_official_code_in_its_240_epochs(epoch: int, factor: float) -> None:
    assert warm_up(epoch, 240, a_method("dkd").config.warm_up_share) == pytest.approx(factor, rel=1e-3)


def test_a_short_run_and_one_without_a_warm_up_have_the_whole_weight_at_once() -> None:
    assert warm_up(0, 3, 0.0833) == 1.0
    assert warm_up(0, 240, 0.0) == 1.0


def test_the_loss_has_the_weights_of_the_settings_and_of_the_epoch() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    settings = {"target_weight": 2.0, "others_weight": 3.0, "temperature": 2.0, "warm_up_share": 0.5}
    method = a_method("dkd", a_task(epochs=8), **settings)
    method._run = SimpleNamespace(epoch=1)
    terms = weighted(method.loss(a_batch(), student, teacher))
    target, others = dkd_losses(student.logits, teacher.logits, a_batch().labels, 2.0)
    assert (terms["target"], terms["others"]) == (1.0 * target.item(), 1.5 * others.item())
