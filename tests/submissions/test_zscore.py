"""Logit standardisation computes what the authors' code computes, and ignores how large and how spread logits are."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.submissions.zscore import standardised
from kdbench.blocks import kd_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted, with_logits


@in_both_precisions
@pytest.mark.parametrize("column", range(4))
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, column: int) -> None:
    golden = read_golden("zscore.npz", dtype)
    student = golden.variable("z_s")
    loss = kd_loss(standardised(student), standardised(golden.tensor("z_t")), golden.number("T", column))
    golden.assert_close(loss, "losses", column)
    golden.assert_close(torch.autograd.grad(loss, student)[0], "grad_z_s", column)


@in_both_precisions
@pytest.mark.parametrize("network", ["s", "t"])
def test_standardised_logits_are_those_of_the_official_code(dtype: torch.dtype, network: str) -> None:
    golden = read_golden("zscore.npz", dtype)
    golden.assert_close(standardised(golden.tensor(f"z_{network}")), f"norm_{network}")


def test_the_defaults_are_those_of_the_official_code() -> None:
    golden, config = read_golden("zscore.npz", torch.float64), a_method("zscore").config
    assert config.distill_weight == golden.number("kd_weight")
    assert config.cross_entropy_weight == golden.number("ce_weight")


def test_the_scale_and_the_mean_of_the_students_logits_do_not_matter() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    method = a_method("zscore")
    plain = weighted(method.loss(a_batch(), student, teacher))
    stretched = weighted(method.loss(a_batch(), with_logits(student, 7 * student.logits - 3), teacher))
    assert stretched["distillation"] == pytest.approx(plain["distillation"], rel=1e-5)
    assert stretched["cross_entropy"] != pytest.approx(plain["cross_entropy"], rel=0.1)


def test_the_loss_has_the_weights_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    terms = weighted(a_method("zscore", cross_entropy_weight=0.5, distill_weight=2.0).loss(a_batch(), student, teacher))
    distillation = kd_loss(standardised(student.logits), standardised(teacher.logits), 2.0)
    cross_entropy = F.cross_entropy(student.logits, a_batch().labels)
    assert terms == {"cross_entropy": 0.5 * cross_entropy.item(), "distillation": 2 * distillation.item()}
