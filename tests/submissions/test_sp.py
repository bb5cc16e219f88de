"""Similarity-preserving distillation computes what the authors' code computes, for maps of any two shapes."""

import pytest
import torch

from benchmark.submissions.sp import similarities, sp_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted


@in_both_precisions
@pytest.mark.parametrize("case", ["map", "vec"])
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("sp.npz", dtype, case)
    features, teacher = golden.variable("f_s"), golden.tensor("f_t")
    loss = sp_loss(features, teacher)
    golden.assert_close(loss, "loss")
    golden.assert_close(torch.autograd.grad(loss, features)[0], "grad_f_s")
    golden.assert_close(similarities(features), "gram_s")
    golden.assert_close(similarities(teacher), "gram_t")


def test_the_default_weight_is_that_of_the_official_code() -> None:
    assert a_method("sp").config.gamma == read_golden("sp.npz", torch.float64).number("weight")


def test_the_scale_of_the_features_does_not_matter() -> None:
    features = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    assert sp_loss(5 * features, features).item() == pytest.approx(0, abs=1e-12)


def test_the_loss_has_the_weight_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    terms = weighted(a_method("sp", gamma=2.0).loss(a_batch(), student, teacher))
    assert terms["similarity"] == 2 * sp_loss(student.feature_map, teacher.feature_map).item()
