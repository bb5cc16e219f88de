"""Knowledge review computes what the authors' code computes, level by level."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from benchmark.submissions.review import Fusion, hcl_loss, review_losses
from kdbench.spec import Family
from tests.submissions.golden import Golden, in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted

CASES = {"cnn_pair": 4, "vit_student": 3}  # levels
TOLERANCES = {torch.float64: 1e-9, torch.float32: 5e-5}


def golden_of(case: str, dtype: torch.dtype) -> Golden:
    return read_golden("review.npz", dtype, case, TOLERANCES[dtype])


def maps_of(golden: Golden, network: str, levels: int) -> list[Tensor]:
    """Return the maps of a network from the deepest level to the shallowest; the file has them the other way."""
    return [golden.variable(f"f_{network}{level}") for level in reversed(range(levels))]


def official_name(depth: int, name: str) -> str:
    """Return the name that the file has for a parameter or statistic of the level at a depth, 0 for the deepest."""
    return f"{depth}_{name.replace('gates', 'att_conv.0').replace('.', '_')}"


def level_of(golden: Golden, depth: int, student: Tensor, teacher: Tensor) -> Fusion:
    """Return a level with the weights of the official one."""
    own, target = ((maps.shape[1], maps.shape[2], maps.shape[3]) for maps in (student, teacher))
    width = len(golden.tensor(f"param_{depth}_conv1_0_weight"))
    level = Fusion(own, target, width, deepest=depth == 0).to(golden.dtype)
    for name, value in level.state_dict().items():
        if "num_batches" not in name:
            value.copy_(golden.tensor(f"param_{official_name(depth, name)}"))
    return level


@in_both_precisions
@pytest.mark.parametrize("case", CASES)
def test_losses_gradients_and_statistics_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = golden_of(case, dtype)
    student, teacher = (maps_of(golden, network, CASES[case]) for network in "st")
    levels = [level_of(golden, depth, *maps) for depth, maps in enumerate(zip(student, teacher, strict=True))]
    losses = torch.stack(review_losses(levels, student, teacher))
    losses.sum().backward()  # type: ignore[no-untyped-call]
    golden.assert_close(losses.sum(), "loss")
    golden.assert_close(losses.flip(0), "loss_per_level")
    assert all(maps.grad is None for maps in teacher)
    for number, maps in enumerate(reversed(student)):
        golden.assert_close(maps.grad, f"grad_f_s{number}")
    for depth, level in enumerate(levels):
        for name, parameter in level.named_parameters():
            golden.assert_close(parameter.grad, f"grad_{official_name(depth, name)}")
        for name, statistic in level.named_buffers():
            if "num_batches" not in name:
                golden.assert_close(statistic, f"after_{official_name(depth, name)}")


def test_a_constant_difference_has_its_square_at_every_size() -> None:
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    assert hcl_loss(maps + 3, maps).item() == pytest.approx(9)


def test_a_map_of_two_by_two_positions_is_averaged_once() -> None:
    """The mean of squares is 1 with weight 1, and the square of the mean 0 with weight 1/2."""
    difference = torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]])
    assert hcl_loss(difference, torch.zeros(1, 1, 2, 2)).item() == pytest.approx(1 / 1.5)


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_all_levels_are_summed_with_the_weight_of_settings_and_epoch(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    method = a_method("review", a_task(teacher, student, epochs=8), review_weight=2.0, warm_up_share=0.5)
    method._run = SimpleNamespace(epoch=1)
    terms = weighted(method.loss(a_batch(), *outputs))
    levels = method.get_submodule("levels")
    assert isinstance(levels, nn.ModuleList)
    maps = [[output.pooled[:, :, None, None], *reversed(output.stages)] for output in outputs]
    losses = review_losses(list(levels), *maps)
    assert len(losses) == 5
    assert terms["review"] == pytest.approx(0.5 * 2.0 * sum(loss.item() for loss in losses))


def test_the_default_weight_is_among_those_of_the_official_code() -> None:
    golden = read_golden("review.npz", torch.float64)
    assert a_method("review").config.review_weight in golden.tensor("weights_used_upstream")
    assert a_method("review").config.warm_up_share * 240 == pytest.approx(golden.number("warmup_epochs"), rel=1e-3)
