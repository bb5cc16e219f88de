"""Masked generation computes what the authors' code computes, and draws its masks as often as it says."""

import pytest
import torch
from torch import Tensor

from benchmark.submissions.mgd import Generator, mgd_loss, on_grid
from kdbench.spec import Family
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import IMAGES, a_batch, a_method, a_task, an_output, weighted

PARAMETERS = [f"{layer}.{part}" for layer in ("align", "generation.0", "generation.2") for part in ("weight", "bias")]


def in_file(parameter: str) -> str:
    return parameter.replace(".", "_")


@in_both_precisions
def test_loss_and_gradients_are_those_of_the_official_code(dtype: torch.dtype) -> None:
    golden = read_golden("mgd.npz", dtype)
    features, teacher = golden.variable("f_s"), golden.tensor("f_t")
    generator = Generator(features.shape[1], teacher.shape[1]).to(dtype)
    generator.load_state_dict({name: golden.tensor(f"param_{in_file(name)}") for name in PARAMETERS})
    mask = golden.tensor("rand") >= golden.number("lambda_mask")
    loss = golden.number("alpha") * mgd_loss(generator(features, mask), teacher)
    loss.backward()  # type: ignore[no-untyped-call]
    golden.assert_close(loss, "loss")
    golden.assert_close(features.grad, "grad_f_s")
    for name, parameter in generator.named_parameters():
        golden.assert_close(parameter.grad, f"grad_{in_file(name)}")


def test_networks_of_equal_widths_are_not_aligned() -> None:
    assert {name.split(".")[0] for name, _ in Generator(5, 5).named_parameters()} == {"generation"}


def test_a_finer_map_is_averaged_and_a_coarser_one_repeated() -> None:
    feature_map = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert on_grid(feature_map, (1, 1)).item() == 3
    assert on_grid(feature_map, (1, 4)).tolist() == [[[[2.0, 2.0, 4.0, 4.0]]]]
    assert on_grid(feature_map, (2, 2)).equal(feature_map)


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_the_loss_has_the_weight_of_the_settings(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    method = a_method("mgd", a_task(teacher, student), alpha=2.0, mask_share=0.0)
    terms = weighted(method.loss(a_batch(), *outputs))
    theirs = outputs[1].feature_map
    channels = torch.ones(IMAGES, theirs.shape[1], 1, 1)
    generated = method.get_submodule("generator")(on_grid(outputs[0].feature_map, theirs.shape[2:]), channels)
    assert terms["generation"] == 2 * mgd_loss(generated, theirs).item()


def test_each_channel_of_each_image_is_dropped_with_the_share_of_the_settings() -> None:
    masks: list[Tensor] = []
    method = a_method("mgd", mask_share=0.25)
    method.get_submodule("generator").register_forward_pre_hook(lambda _, inputs: masks.append(inputs[1]))
    for _ in range(40):
        method.loss(a_batch(), an_output("vit", 0), an_output("cnn", 1))
    drawn = torch.stack(masks)
    assert drawn.shape == (40, IMAGES, 12, 1, 1)
    assert drawn.float().mean().item() == pytest.approx(0.75, abs=4 * (0.75 * 0.25 / drawn.numel()) ** 0.5)


def test_a_share_of_all_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mask_share must lie in \[0, 1\), got 1.0"):
        a_method("mgd", mask_share=1.0)


def test_the_share_is_that_of_the_official_code() -> None:
    assert a_method("mgd").config.mask_share == read_golden("mgd.npz", torch.float64).number("lambda_mask")
