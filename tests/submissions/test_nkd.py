"""Normalised distillation computes what the authors' code computes."""

import pytest
import torch

from benchmark.submissions.nkd import nkd_losses
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted, with_logits


@in_both_precisions
@pytest.mark.parametrize("column", range(4))
def test_losses_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, column: int) -> None:
    golden = read_golden("nkd.npz", dtype)
    student, gamma = golden.variable("z_s"), golden.number("gamma", column)
    target, others = nkd_losses(student, golden.tensor("z_t"), golden.tensor("target"), golden.number("temp", column))
    golden.assert_close(target, "target_part", column)
    golden.assert_close(gamma * others, "nontarget_part_weighted", column)
    golden.assert_close(target + gamma * others, "losses", column)
    golden.assert_close(torch.autograd.grad(target + gamma * others, student)[0], "grad_z_s", column)


def test_a_student_with_the_teachers_other_classes_has_no_gradient_on_them() -> None:
    teacher, labels = an_output("cnn", 0).logits, a_batch().labels
    student = teacher.clone()
    student[torch.arange(len(labels)), labels] += 3.0  # another probability of the true class
    student.requires_grad_()
    _, others = nkd_losses(student, teacher, labels, 2.0)
    assert torch.autograd.grad(others, student)[0].abs().max().item() < 1e-9
    assert others.item() > 1  # an entropy, not a divergence


def test_the_loss_has_the_weights_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    target, others = nkd_losses(student.logits, teacher.logits, a_batch().labels, 2.0)
    method = a_method("nkd", target_weight=0.5, others_weight=0.25, temperature=2.0)
    terms = weighted(method.loss(a_batch(), student, teacher))
    assert (terms["target"], terms["others"]) == (0.5 * target.item(), 0.25 * others.item())
    sure = with_logits(student, 50.0 * torch.nn.functional.one_hot(a_batch().labels, 10).double())
    assert weighted(method.loss(a_batch(), sure, teacher))["cross_entropy"] == pytest.approx(0, abs=1e-9)
