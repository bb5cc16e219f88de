"""DeiT's distillation computes what the authors' code computes, apart from the divisor of its soft labels."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.submissions.deit import Labels, deit_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import CLASSES, a_batch, a_method, an_output, weighted

CASES: list[tuple[str, Labels]] = [("hard", "hard"), ("soft_tau1", "soft"), ("soft_tau3", "soft")]


@in_both_precisions
@pytest.mark.parametrize(("case", "labels"), CASES)
def test_losses_and_gradients_are_those_of_the_official_code(dtype: torch.dtype, case: str, labels: Labels) -> None:
    golden, logits = read_golden("deit.npz", dtype, case), read_golden("deit.npz", dtype)
    z_cls, z_dist, alpha = logits.variable("z_cls"), logits.variable("z_dist"), golden.number("alpha")
    distillation = deit_loss(z_dist, logits.tensor("z_t"), labels, golden.number("tau"))
    if labels == "soft":
        distillation = distillation / CLASSES  # the official code divides by B C
    base = F.cross_entropy(z_cls, logits.tensor("target"))
    golden.assert_close(base, "loss_base")
    golden.assert_close(distillation, "loss_distill")
    loss = (1 - alpha) * base + alpha * distillation
    golden.assert_close(loss, "loss")
    for gradient, name in zip(torch.autograd.grad(loss, (z_cls, z_dist)), ("z_cls", "z_dist"), strict=True):
        golden.assert_close(gradient, f"grad_{name}")


@pytest.mark.parametrize("labels", ["hard", "soft"])
def test_the_second_classifier_meets_the_teacher_and_the_first_the_labels(labels: Labels) -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    method = a_method("deit", distill_weight=0.2, labels=labels)
    z_dist = method.get_submodule("head")(student.pooled)
    assert weighted(method.loss(a_batch(), student, teacher)) == pytest.approx(
        {
            "cross_entropy": 0.8 * F.cross_entropy(student.logits, a_batch().labels).item(),
            "distillation": 0.2 * deit_loss(z_dist, teacher.logits, labels, 3.0).item(),
        }
    )


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"distill_weight must lie in \[0, 1\], got 1\.5"):
        a_method("deit", distill_weight=1.5)
