"""Each level of multi-level distillation is that of the authors' code, whose whole loss consists of these levels."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.submissions.mlld import level_losses
from tests.submissions.golden import Golden, in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted

STRONG_VIEW = (3.0, 5.0)  # the temperatures, besides the first, at which the official code compares the strong view


@in_both_precisions
@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("column", range(6))
def test_levels_are_those_of_the_official_code(dtype: torch.dtype, view: str, column: int) -> None:
    golden = read_golden("mlld.npz", dtype)
    instance, batch, classes = level_losses(
        golden.tensor(f"z_s_{view}"), golden.tensor(f"z_t_{view}"), golden.number("T", column)
    )
    golden.assert_close(instance, f"kd_{view}", column)
    golden.assert_close(batch, f"bc_{view}", column)
    golden.assert_close(classes, f"cc_{view}", column)


def official_loss(golden: Golden, case: str, weak: Tensor, strong: Tensor) -> Tensor:
    """Return what the official code adds up: see the docstring of the submission."""
    levels: dict[str, Callable[[float], tuple[Tensor, ...]]] = {
        "weak": lambda temperature: level_losses(weak, golden.tensor("z_t_weak"), temperature),
        "strong": lambda temperature: level_losses(strong, golden.tensor("z_t_strong"), temperature),
    }
    masks = (golden.tensor(f"mask_{what}").to(golden.dtype).mean() for what in ("sample", "class"))
    (samples, classes), base = masks, golden.number(f"{case}__base_T")
    loss = torch.zeros((), dtype=golden.dtype)
    for temperature in (base, 3.0, 5.0, 2.0, 6.0):
        instance, batch, of_classes = levels["weak"](temperature)
        second = levels["strong" if temperature in (base, *STRONG_VIEW) else "weak"](temperature)[0]
        loss = loss + samples * instance + second + samples * batch + classes * of_classes
    labels = golden.tensor("target")
    cross_entropy = F.cross_entropy(weak, labels) + F.cross_entropy(strong, labels)
    return golden.number(f"{case}__kd_weight") * loss + golden.number(f"{case}__ce_weight") * cross_entropy


@in_both_precisions
@pytest.mark.parametrize("case", ["cifar", "imagenet"])
def test_the_official_loss_and_its_gradients_consist_of_these_levels(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("mlld.npz", dtype)
    weak, strong = golden.variable("z_s_weak"), golden.variable("z_s_strong")
    loss = official_loss(golden, case, weak, strong)
    golden.assert_close(loss, f"{case}__loss")
    for gradient, view in zip(torch.autograd.grad(loss, (weak, strong)), ("weak", "strong"), strict=True):
        golden.assert_close(gradient, f"{case}__grad_z_s_{view}")


def test_the_terms_are_sums_over_the_temperatures_with_the_weights_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    method = a_method("mlld", cross_entropy_weight=0.5, distill_weight=0.25, temperatures=(1.0, 7.0))
    levels = [level_losses(student.logits, teacher.logits, temperature) for temperature in (1.0, 7.0)]
    instance, batch, classes = (0.25 * sum(part.item() for part in parts) for parts in zip(*levels, strict=True))
    terms = weighted(method.loss(a_batch(), student, teacher))
    assert terms.pop("cross_entropy") == 0.5 * F.cross_entropy(student.logits, a_batch().labels).item()
    assert terms == pytest.approx({"instance": instance, "batch": batch, "class": classes})


def test_a_student_with_the_teachers_probabilities_pays_nothing() -> None:
    teacher = an_output("cnn", 0).logits
    assert [part.item() for part in level_losses(teacher + 5, teacher, 2.0)] == pytest.approx([0, 0, 0], abs=1e-12)


@pytest.mark.parametrize("temperatures", [(), (4.0, 0.0), (float("inf"),)])
def test_temperatures_without_meaning_are_refused(temperatures: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="temperatures must be one or more numbers above 0"):
        a_method("mlld", temperatures=temperatures)
