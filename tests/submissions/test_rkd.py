"""Relational distillation computes what the authors' code computes, and compares relations alone."""

import pytest
import torch

from benchmark.submissions.rkd import cosines, relative_distances, rkd_losses
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, an_output, weighted


@in_both_precisions
@pytest.mark.parametrize("case", ["vec", "map", "metric_weights"])
def test_losses_and_gradients_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("rkd.npz", dtype, case)
    features = golden.variable("f_s")
    distance, angle = rkd_losses(features.flatten(1), golden.tensor("f_t").flatten(1))
    golden.assert_close(distance, "loss_distance")
    golden.assert_close(angle, "loss_angle")
    loss = golden.number("w_distance") * distance + golden.number("w_angle") * angle
    golden.assert_close(loss, "loss")
    for value, name in ((distance, "grad_f_s_distance"), (angle, "grad_f_s_angle"), (loss, "grad_f_s")):
        golden.assert_close(torch.autograd.grad(value, features, retain_graph=True)[0], name)


@in_both_precisions
@pytest.mark.parametrize("case", ["vec", "map", "metric_weights"])
def test_relations_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("rkd.npz", dtype, case)
    student, teacher = (golden.tensor(name).flatten(1) for name in ("f_s", "f_t"))
    golden.assert_close(relative_distances(student), "d_s")
    golden.assert_close(relative_distances(teacher), "d_t")
    golden.assert_close(cosines(teacher), "angle_t")


def test_a_rotated_moved_and_scaled_copy_has_the_same_relations() -> None:
    vectors = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)).double()
    rotation, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(1)).double())
    losses = rkd_losses(3 * vectors @ rotation + 2, vectors)
    assert [loss.item() for loss in losses] == pytest.approx([0, 0], abs=1e-12)


def test_equal_vectors_have_finite_gradients() -> None:
    student = torch.ones(4, 3, dtype=torch.float64).requires_grad_()
    teacher = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).double()
    for loss in rkd_losses(student, teacher):
        assert torch.isfinite(torch.autograd.grad(loss, student)[0]).all()


def test_the_loss_has_the_weights_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    distance, angle = rkd_losses(student.pooled, teacher.pooled)
    terms = weighted(a_method("rkd", distance_weight=2.0, angle_weight=3.0).loss(a_batch(), student, teacher))
    assert (terms["distance"], terms["angle"]) == (2 * distance.item(), 3 * angle.item())
