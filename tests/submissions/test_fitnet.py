"""The layers between two grids, and the loss on them, are those of OFA-KD's FitNet, with reordered weights."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.submissions.fitnet import MapShape, Regressor
from kdbench.blocks import kd_loss
from kdbench.spec import Family
from tests.submissions.golden import Golden, in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted


def as_map(features: Tensor, prefix: int) -> Tensor:
    """Return tokens after a prefix as a square map; a map stays as it is."""
    if features.dim() == 4:
        return features
    side = round((features.shape[1] - prefix) ** 0.5)
    return features[:, prefix:].transpose(1, 2).reshape(len(features), -1, side, side)


def shape_of(feature_map: Tensor) -> MapShape:
    _, channels, height, width = feature_map.shape
    return channels, height, width


def blocks_first(weight: Tensor, channels: int) -> Tensor:
    """Reorder outputs of k x k positions, of which each has all channels, to channels of k x k positions each."""
    return weight.reshape(-1, channels, *weight.shape[1:]).transpose(0, 1).flatten(0, 1)


def convolved(weight: Tensor, channels: int) -> Tensor:
    """Return a matrix on k x k merged tokens, (F_t, k * k * F_s, 1, 1), as a convolution, (F_t, F_s, k, k)."""
    side = round((weight.shape[1] / channels) ** 0.5)
    return weight.reshape(-1, side, side, channels).permute(0, 3, 1, 2)


def official_layer(case: str, golden: Golden, name: str) -> tuple[Tensor, Tensor]:
    """Return the parameters or the gradients of an official layer, in the order of the `Regressor`."""
    layer = {"cnn_fine_to_vit": "proj", "vit_to_cnn_coarse": "2"}.get(case, "0")
    weight, bias = (golden.tensor(f"{name}_{layer}_{part}") for part in ("weight", "bias"))
    student, teacher = (golden.tensor(f"f_{network}") for network in "st")
    if case == "vit_to_cnn_coarse":
        weight = convolved(weight, student.shape[2])
    if case in ("cnn_coarse_to_vit", "vit_to_cnn_fine"):
        channels = teacher.shape[2 if case == "cnn_coarse_to_vit" else 1]
        weight, bias = (blocks_first(values, channels) for values in (weight, bias))
    return (weight if weight.dim() == 4 else weight[:, :, None, None]), bias


CASES = ["cnn_fine_to_vit", "cnn_coarse_to_vit", "vit_to_cnn_fine", "vit_to_cnn_coarse"]


@in_both_precisions
@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_between_families_are_the_official_ones(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("fitnet_hetero.npz", dtype, f"hetero_{case}")
    features = golden.variable("f_s")
    student = as_map(features, int(golden.number("prefix_s")))
    teacher = as_map(golden.tensor("f_t"), int(golden.number("prefix_t")))
    regressor = Regressor(shape_of(student), shape_of(teacher)).to(dtype)
    parameters = (regressor.convolution.weight, regressor.convolution.bias)
    for parameter, official in zip(parameters, official_layer(case, golden, "param"), strict=True):
        assert parameter is not None
        parameter.data.copy_(official)
    loss = F.mse_loss(regressor(student), teacher)
    loss.backward()  # type: ignore[no-untyped-call]
    golden.assert_close(loss, "loss")
    golden.assert_close(features.grad, "grad_f_s")
    for parameter, official in zip(parameters, official_layer(case, golden, "grad"), strict=True):
        assert parameter is not None
        assert parameter.grad is not None
        golden.assert_equal_to(parameter.grad, official.numpy())


@in_both_precisions
def test_loss_and_gradients_of_two_cnns_are_the_official_ones(dtype: torch.dtype) -> None:
    golden = read_golden("fitnet.npz", dtype, "conv1x1")
    features, teacher = golden.variable("f_s"), golden.tensor("f_t")
    regressor = Regressor(shape_of(features), shape_of(teacher)).to(dtype)
    assert regressor.convolution.bias is not None
    torch.nn.init.zeros_(regressor.convolution.bias)  # the official layer has none
    regressor.convolution.weight.data.copy_(golden.tensor("param_transform_weight"))
    loss = F.mse_loss(regressor(features), teacher)
    loss.backward()  # type: ignore[no-untyped-call]
    golden.assert_close(loss, "loss")
    golden.assert_close(features.grad, "grad_f_s")
    golden.assert_close(regressor.convolution.weight.grad, "grad_transform_weight")


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_all_stages_are_summed_with_the_weights_of_the_settings(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    method = a_method("fitnet", a_task(teacher, student), hint_weight=3.0, distill_weight=2.0, temperature=4.0)
    assert outputs[0].stages is not None
    assert outputs[1].stages is not None
    stages = zip(method.get_submodule("regressors").children(), outputs[0].stages, outputs[1].stages, strict=True)
    hints = sum(F.mse_loss(regressor(guided), hint).item() for regressor, guided, hint in stages)
    terms = weighted(method.loss(a_batch(), *outputs))
    assert terms["hints"] == pytest.approx(3 * hints)
    assert terms["distillation"] == 2 * kd_loss(outputs[0].logits, outputs[1].logits, 4.0).item()


def test_a_coarse_student_predicts_the_positions_that_each_of_its_own_covers() -> None:
    regressor = Regressor((1, 2, 2), (1, 4, 4))
    for value, parameter in zip((1.0, 0.0), regressor.convolution.parameters(), strict=True):
        torch.nn.init.constant_(parameter, value)
    coarse = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert torch.equal(regressor(coarse), F.interpolate(coarse, scale_factor=2))


@pytest.mark.parametrize(("student", "teacher"), [((3, 6, 6), (3, 4, 4)), ((3, 4, 8), (3, 4, 4))])
def test_grids_that_are_no_multiples_are_refused(student: tuple[int, int, int], teacher: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="of a stage are not multiples of each other"):
        Regressor(student, teacher)
