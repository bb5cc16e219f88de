"""CAPD's adversary: who trains whom, on which views of the images."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmark.submissions import capd
from benchmark.submissions.capd import (
    CrossArchitectureProjection as Capd,
)
from benchmark.submissions.capd import (
    crop_and_rotate,
    discriminator_loss,
    generator_loss,
    jitter_colours,
    mask_patches,
    random_view,
)
from kdbench.api import Losses, Output, Term
from tests.submissions.small_networks import IMAGES, WIDTH, Student, a_batch, a_method, a_teacher


def test_both_players_at_chance_pay_the_logarithm_of_two() -> None:
    zero = torch.zeros(8, 1)
    assert discriminator_loss(zero, zero).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(zero).item() == pytest.approx(math.log(2))


def test_the_discriminator_pays_less_the_better_it_tells_them_apart() -> None:
    high, low = torch.full((8, 1), 9.0), torch.full((8, 1), -9.0)
    assert discriminator_loss(high, low).item() < 1e-3
    assert discriminator_loss(low, high).item() == pytest.approx(18, rel=1e-3)


def test_the_generators_gradient_does_not_vanish_where_the_discriminator_wins() -> None:
    score = torch.tensor([[-30.0]], requires_grad=True)
    generator_loss(score).backward()  # type: ignore[no-untyped-call]
    assert score.grad is not None
    assert score.grad.item() == pytest.approx(-1)


class StandIn:
    """Stands for the harness: a small student, a teacher of fixed outputs, and notes of what was asked."""

    def __init__(self, method: Capd, progress: float = 0.5) -> None:
        torch.manual_seed(4)
        self.method, self.progress, self.student = method, progress, Student()
        self.to_student: list[Tensor] = []
        self.to_teacher: list[Tensor] = []
        self.losses: dict[str, Term] = {}
        self.logged: dict[str, float | Tensor] = {}
        self.discriminator: list[list[Tensor]] = []
        self.student_had_gradient = False

    def student_forward(self, images: Tensor) -> Output:
        self.to_student.append(images)
        output: Output = self.student(images)
        return output

    def teacher_forward(self, images: Tensor) -> Output:
        self.to_teacher.append(images)
        return a_teacher()

    def log(self, **scalars: float | Tensor) -> None:
        self.logged.update(scalars)

    def backward_and_step(self, losses: Losses) -> None:
        assert isinstance(losses, dict)
        self.losses = losses
        self.student_had_gradient = any(p.grad is not None for p in self.student.parameters())
        self._note_discriminator()
        torch.stack([term.value * term.weight for term in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]
        self._note_discriminator()

    def _note_discriminator(self) -> None:
        parameters = list(self.method.discriminator.parameters())
        assert all(p.grad is not None for p in parameters)
        self.discriminator.append([x.detach().clone() for p in parameters for x in (p, p.grad) if x is not None])


def stepped(progress: float = 0.5, **settings: Any) -> StandIn:
    method = a_method(**settings)
    run = StandIn(method, progress)
    method.step(run, a_batch())  # type: ignore[arg-type]
    return run


def test_the_discriminators_step_gives_the_student_no_gradient() -> None:
    assert not stepped().student_had_gradient


def test_the_discriminator_moves_in_its_own_step_and_not_in_the_students() -> None:
    untouched, run = a_method(), stepped()
    before, after = run.discriminator
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True)), "parameters and gradients"
    moved = zip(untouched.discriminator.parameters(), run.method.discriminator.parameters(), strict=True)
    assert all(not torch.equal(x, y) for x, y in moved)


def test_the_moved_discriminator_pushes_on_student_and_projector() -> None:
    method, student = a_method(), Student()
    fake = method.feature_projector(student.trunk(a_batch().images)).mean(dim=1)
    before = method.adversarial_loss(fake)
    method._train_discriminator(torch.randn(IMAGES, WIDTH), fake.detach())
    after = method.adversarial_loss(fake)
    assert after != before
    reached = [*student.trunk.parameters(), *method.feature_projector.parameters()]
    assert all(gradient.any() for gradient in torch.autograd.grad(after, reached))


def test_the_discriminator_has_an_optimiser_of_its_own() -> None:
    method = a_method(discriminator_learning_rate=3e-4)
    (group,) = method.optimizers()["discriminator"].param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in method.discriminator.parameters()}
    assert (group["lr"], group["betas"]) == (3e-4, (0.5, 0.999))


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0), (0.0999, 0), (0.1, 0.25), (0.9, 0.25)])
def test_the_adversary_has_no_weight_in_the_first_tenth_of_the_run(progress: float, weight: float) -> None:
    assert stepped(progress, adversarial_weight=0.25).losses["adversarial"].weight == weight


def test_the_discriminator_learns_from_the_first_step_on() -> None:
    assert {"discriminator_loss", "discriminator_accuracy"} == set(stepped(progress=0.0).logged)


def test_discriminator_accuracy_is_the_share_of_right_answers() -> None:
    method = a_method()
    for parameter in method.discriminator.parameters():
        torch.nn.init.ones_(parameter)
    scores = method._train_discriminator(torch.ones(4, WIDTH), torch.ones(4, WIDTH))
    assert scores["discriminator_accuracy"].item() == 0.5


def test_a_discriminator_learns_to_tell_two_clouds_apart() -> None:
    method = a_method(discriminator_learning_rate=1e-3)
    torch.manual_seed(0)
    real, fake = torch.randn(64, WIDTH) + 0.5, torch.randn(64, WIDTH) - 0.5
    seen = [method._train_discriminator(real, fake) for _ in range(60)]
    assert seen[-1]["discriminator_accuracy"] > 0.95
    assert seen[-1]["discriminator_loss"] < seen[0]["discriminator_loss"]


def test_only_the_student_sees_the_other_view() -> None:
    run, images = stepped(view_probability=1.0), a_batch().images
    assert [torch.equal(seen, images) for seen in run.to_teacher] == [True]
    assert [torch.equal(seen, images) for seen in run.to_student] == [True, False]


def test_paired_networks_share_one_view() -> None:
    run, images = stepped(view_probability=1.0, paired=True), a_batch().images
    assert len(run.to_student) == len(run.to_teacher) == 1
    assert torch.equal(run.to_student[0], run.to_teacher[0])
    assert not torch.equal(run.to_student[0], images)
    assert set(run.losses) == set(stepped().losses)


def test_a_view_is_the_image_itself_with_the_probability_left() -> None:
    torch.manual_seed(0)
    images = torch.randn(400, 3, 8, 8)
    changed = (random_view(images, (2, 2), 0.3) != images).flatten(1).any(dim=1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.07)
    assert torch.equal(random_view(images, (2, 2), 0.0), images)
    assert (random_view(images, (2, 2), 1.0) != images).flatten(1).any(dim=1).all()


def test_views_repeat_with_the_seed() -> None:
    images = torch.randn(IMAGES, 3, 32, 32)
    views = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        views.append(random_view(images, (8, 8), 0.5))
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_whole_patches_are_masked_at_the_stated_share() -> None:
    torch.manual_seed(0)
    masked = mask_patches(torch.ones(100, 3, 32, 32), (8, 8)).view(100, 3, 8, 4, 8, 4).transpose(3, 4).flatten(4)
    assert torch.equal(masked.amin(dim=-1), masked.amax(dim=-1))
    assert masked.mean().item() == pytest.approx(1 - capd.MASKED_SHARE, abs=0.02)


def test_colour_jitter_of_no_strength_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = torch.randn(IMAGES, 3, 8, 8)
    assert not torch.equal(jitter_colours(images), images)
    monkeypatch.setattr(capd, "COLOUR_STRENGTH", 0.0)
    assert torch.equal(jitter_colours(images), images)


def test_colour_jitter_keeps_grey_images_grey_and_their_pixels_in_order() -> None:
    torch.manual_seed(0)
    grey = torch.randn(IMAGES, 1, 8, 8).expand(-1, 3, -1, -1)
    jittered = jitter_colours(grey)
    torch.testing.assert_close(jittered[:, 0], jittered[:, 2])
    assert torch.equal(jittered.flatten(2).argsort(), grey.flatten(2).argsort())


def ramp(side: int = 16) -> Tensor:
    """(32, 2, side, side): each pixel's own column and row."""
    row, column = torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    return torch.stack([column, row]).expand(32, -1, -1, -1)


def test_the_whole_image_unturned_is_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capd, "LARGEST_ROTATION", 0.0)
    monkeypatch.setattr(capd, "SMALLEST_CROP", 1.0)
    torch.testing.assert_close(crop_and_rotate(ramp()), ramp())


def test_an_unturned_crop_lies_inside_the_image_and_is_upright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capd, "LARGEST_ROTATION", 0.0)
    torch.manual_seed(0)
    inner = crop_and_rotate(ramp())[:, :, 2:-2, 2:-2]
    step_x, step_y = inner[:, 0].diff(dim=2), inner[:, 1].diff(dim=1)
    torch.testing.assert_close(step_x, step_y.transpose(1, 2), rtol=0, atol=1e-4)
    torch.testing.assert_close(step_x, step_x[:, :1, :1].expand_as(step_x), rtol=0, atol=1e-4)
    assert ((step_x > capd.SMALLEST_CROP - 1e-4) & (step_x < 1 + 1e-4)).all()
    torch.testing.assert_close(inner[:, 0].diff(dim=1), torch.zeros_like(inner[:, 0, 1:]), rtol=0, atol=1e-4)


def test_a_turned_crop_keeps_lengths_and_right_angles() -> None:
    torch.manual_seed(0)
    middle = crop_and_rotate(ramp())[:, :, 6:10, 6:10]
    across, down = middle[..., 1, 2] - middle[..., 1, 1], middle[..., 2, 1] - middle[..., 1, 1]
    torch.testing.assert_close((across * down).sum(dim=1), torch.zeros(32), rtol=0, atol=1e-3)
    torch.testing.assert_close(across.norm(dim=1), down.norm(dim=1), rtol=0, atol=1e-3)
    angle = torch.atan2(across[:, 1], across[:, 0])
    assert angle.abs().max() < capd.LARGEST_ROTATION + 1e-3
    assert angle.std() > 0.1
