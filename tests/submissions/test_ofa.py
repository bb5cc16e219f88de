"""One-for-all computes what the authors' code computes: its loss, and its branches on a CNN and on a ViT."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.submissions.ofa import PatchMerging, cnn_branch, ofa_loss, vit_branch
from kdbench.spec import Family
from tests.submissions.golden import Golden, in_both_precisions, read_golden
from tests.submissions.small_tasks import CLASSES, a_batch, a_method, a_task, an_output, weighted

BLOCK = {  # our names and the official ones
    "norm1": "norm1",
    "norm2": "norm2",
    "self_attn.in_proj": "attn_qkv",
    "self_attn.out_proj": "attn_proj",
    "linear1": "mlp_fc1",
    "linear2": "mlp_fc2",
}


@in_both_precisions
@pytest.mark.parametrize("column", range(5))
def test_loss_and_gradient_are_those_of_the_official_code(dtype: torch.dtype, column: int) -> None:
    golden = read_golden("ofa.npz", dtype)
    student, settings = golden.variable("z_s"), (golden.number("eps", column), golden.number("T", column))
    loss = ofa_loss(student, golden.tensor("z_t"), golden.tensor("target"), *settings)
    golden.assert_close(loss, "losses", column)
    golden.assert_close(torch.autograd.grad(loss, student)[0], "grad_z_s", column)


def official_name(ours: str, family: Family) -> str:
    """Return the name of a parameter of a branch in the official code, with underscores in place of dots."""
    if family == "cnn":
        return ours.replace(".", "_")
    number, rest = ours.split(".", maxsplit=1)
    if number == "4":
        return f"3_{rest}"
    block, name = rest.split(".", maxsplit=1)
    for prefix, official in BLOCK.items():
        name = name.replace(f"{prefix}_", f"{official}_").replace(f"{prefix}.", f"{official}_")
    return f"1_{block}_{name}"


def load(branch: nn.Module, golden: Golden, stage: int, family: Family) -> None:
    """Give a branch the official weights and batch statistics."""
    for name, tensor in branch.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(golden.tensor(f"param_{stage}_{official_name(name, family)}"))


def branches_of(golden: Golden, family: Family) -> dict[int, nn.Module]:
    """Return branches with the official weights, by the number of their stage from 1 to 4."""
    branches: dict[int, nn.Module] = {}
    for stage in golden.tensor("stages").tolist():
        shape, left = golden.tensor(f"f_{stage - 1}").shape, 4 - stage
        if family == "cnn":
            channels = golden.tensor("param_4_0_weight").shape[0]
            branch = cnn_branch(shape[1], left, channels, CLASSES)
        else:
            branch = vit_branch(shape[2], round(shape[1] ** 0.5), max(left, 1), CLASSES)
        branches[stage] = branch.to(golden.dtype)
        load(branches[stage], golden, stage, family)
    return branches


def as_grid(stage: Tensor, family: Family) -> Tensor:
    side = round(stage.shape[1] ** 0.5)
    return stage if family == "cnn" else stage.transpose(1, 2).reshape(len(stage), -1, side, side)


@in_both_precisions
@pytest.mark.parametrize(("case", "family"), [("cnn_student", "cnn"), ("patch_student_gap", "vit")])
def test_branches_and_the_whole_loss_are_those_of_the_official_code(
    dtype: torch.dtype, case: str, family: Family
) -> None:
    golden = read_golden(f"ofa_heads_{family}.npz", dtype, case, 5e-5 if dtype == torch.float32 else None)
    branches, features = branches_of(golden, family), {}
    z_s, z_t, labels = golden.variable("z_s"), golden.tensor("z_t"), golden.tensor("target")
    exponents, parts = golden.tensor("eps").tolist(), []
    for (stage, branch), exponent in zip(branches.items(), exponents[:-1], strict=True):
        features[stage] = golden.variable(f"f_{stage - 1}")
        parts.append(ofa_loss(branch(as_grid(features[stage], family)), z_t, labels, exponent, golden.number("T")))
    loss_kd, loss_ofa = ofa_loss(z_s, z_t, labels, exponents[-1], golden.number("T")), torch.stack(parts).sum()
    golden.assert_close(loss_kd, "loss_kd")
    golden.assert_close(loss_ofa, "loss_ofa")
    loss = F.cross_entropy(z_s, labels) + loss_kd + loss_ofa
    loss.backward()  # type: ignore[no-untyped-call]
    golden.assert_close(loss, "loss")
    golden.assert_close(z_s.grad, "grad_z_s")
    for stage, branch in branches.items():
        golden.assert_close(features[stage].grad, f"grad_f_{stage - 1}")
        for name, parameter in branch.named_parameters():
            golden.assert_close(parameter.grad, f"grad_{stage}_{official_name(name, family)}")


def test_two_blocks_with_the_class_token_give_the_official_logits() -> None:
    """The official branches on a ViT with a class token, of which ours leaves out the choice of the token."""
    golden = read_golden("ofa_heads_vit.npz", torch.float64, "vit_student")
    for stage in golden.tensor("stages").tolist():
        tokens = golden.tensor(f"f_{stage - 1}")
        branch = vit_branch(tokens.shape[2], 4, max(4 - stage, 1), CLASSES).double()
        load(branch, golden, stage, "vit")
        class_token = branch.get_submodule("2")(tokens)[:, 0]
        golden.assert_close(branch.get_submodule("4")(class_token), f"stage_logits_{stage}")


def test_merging_joins_the_tokens_of_each_tile_column_by_column() -> None:
    merging = PatchMerging(2).double()
    tokens = torch.arange(32.0, dtype=torch.float64).view(1, 2, 4, 4)
    merged = merging(tokens)
    tile = torch.cat([tokens[0, :, row, column] for row, column in ((0, 2), (1, 2), (0, 3), (1, 3))])
    assert merged.shape == (1, 2, 2, 2)
    torch.testing.assert_close(merged[0, :, 0, 1], F.gelu(merging.reduction(merging.norm(tile))))


@pytest.mark.parametrize(("side", "merged"), [(4, 4), (8, 8), (14, 7), (16, 8), (28, 7)])
def test_grids_are_merged_while_they_have_twice_the_least_side(side: int, merged: int) -> None:
    branch = vit_branch(8, side, 1, CLASSES)
    assert branch.get_submodule("0")(torch.zeros(1, 8, side, side)).shape[2:] == (merged, merged)


@pytest.mark.parametrize(("width", "side"), [(6, 8), (8, 15)])
def test_widths_and_grids_that_do_not_fit_are_refused(width: int, side: int) -> None:
    with pytest.raises(ValueError, match="a branch needs a width that 4 divides and a side"):
        vit_branch(width, side, 1, CLASSES)


@pytest.mark.parametrize(("teacher", "student"), [("cnn", "vit"), ("vit", "cnn"), ("cnn", "cnn"), ("vit", "vit")])
def test_every_stage_has_a_branch_and_the_loss_the_weights_of_the_settings(teacher: Family, student: Family) -> None:
    outputs = an_output(student, 0), an_output(teacher, 1)
    single, double = (a_method("ofa", a_task(teacher, student), branch_weight=weight) for weight in (1.0, 2.0))
    losses = [weighted(method.loss(a_batch(), *outputs)) for method in (single, double)]
    assert len(single.get_submodule("branches")) == 4  # type: ignore[arg-type]
    assert losses[1]["branches"] == pytest.approx(2 * losses[0]["branches"])
    expected = ofa_loss(outputs[0].logits, outputs[1].logits, a_batch().labels, 1.0, 1.0).item()
    assert losses[0]["distillation"] == expected


def test_at_an_exponent_of_one_the_loss_is_the_cross_entropy_with_the_teacher() -> None:
    student, teacher = an_output("vit", 0).logits, an_output("cnn", 1).logits
    expected = F.cross_entropy(student, teacher.softmax(dim=1)).item()
    assert ofa_loss(student, teacher, a_batch().labels, 1.0, 1.0).item() == pytest.approx(expected)
