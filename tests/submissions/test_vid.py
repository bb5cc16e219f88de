"""Variational information distillation computes what the authors' code computes."""

import math

import pytest
import torch
from torch import nn

from benchmark.submissions.vid import Predictor, normal_loss
from kdbench.spec import Family
from tests.submissions.golden import Golden, in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted

CASES = ["same", "student_finer", "teacher_finer"]
LAYERS = (0, 2, 4)


def predictor_of(golden: Golden) -> Predictor:
    """Return a predictor with the weights of the official one."""
    predictor = Predictor(golden.tensor("f_s").shape[1], golden.tensor("f_t").shape[1], 5.0).to(golden.dtype)
    predictor.alpha.data.copy_(golden.tensor("param_log_scale"))
    for layer in LAYERS:
        weight = predictor.mean[layer].weight
        assert isinstance(weight, nn.Parameter)
        weight.data.copy_(golden.tensor(f"param_regressor_{layer}_weight"))
    return predictor


@in_both_precisions
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("vid.npz", dtype, case)
    features, predictor = golden.variable("f_s"), predictor_of(golden)
    loss = predictor(features, golden.tensor("f_t"))
    loss.backward()
    golden.assert_close(loss, "loss")
    golden.assert_close(features.grad, "grad_f_s")
    golden.assert_close(predictor.alpha.grad, "grad_log_scale")
    for layer in LAYERS:
        golden.assert_close(predictor.get_parameter(f"mean.{layer}.weight").grad, f"grad_regressor_{layer}_weight")


def test_the_defaults_are_those_of_the_official_code() -> None:
    golden, config = read_golden("vid.npz", torch.float64, "same"), a_method("vid").config
    assert config.initial_variance == golden.number("init_pred_var")
    assert config.information_weight == read_golden("vid.npz", torch.float64).number("weight")
    start = Predictor(3, 7, config.initial_variance).alpha
    torch.testing.assert_close(start.detach().double(), torch.full((7,), golden.number("log_scale_default")).double())


def test_the_loss_is_a_normal_negative_log_likelihood_up_to_its_constant() -> None:
    mean, target = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    variance = torch.tensor([0.5, 1.0, 4.0]).double()
    normal = torch.distributions.Normal(mean, variance.sqrt()[:, None, None])
    likelihood: torch.Tensor = normal.log_prob(target)  # type: ignore[no-untyped-call]
    expected = -likelihood.mean().item() - math.log(2 * math.pi) / 2
    assert normal_loss(mean, target, variance).item() == pytest.approx(expected)


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_the_last_three_stages_are_summed_with_the_weight_of_the_settings(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    single, tripled = (a_method("vid", a_task(teacher, student), information_weight=weight) for weight in (1.0, 3.0))
    losses = [weighted(method.loss(a_batch(), *outputs))["information"] for method in (single, tripled)]
    assert losses[1] == pytest.approx(3 * losses[0])
    assert len(next(single.children()).state_dict()) == 3 * 4  # three predictors of four tensors each


def test_a_variance_below_the_floor_is_refused() -> None:
    with pytest.raises(ValueError, match="initial_variance must be above 1e-05, got 1e-06"):
        a_method("vid", initial_variance=1e-6)
