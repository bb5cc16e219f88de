"""SSKD computes what the official code does, keeps the rows it says, and trains its two heads in their own stages."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.submissions.sskd import (
    SelfSupervisedDistillation,
    Views,
    four_views,
    kept_rows,
    own_samples,
    selective_kl,
    similarity_accuracy,
    split_views,
    truth_ranks,
    view_similarity,
)
from kdbench.api import Batch, Losses, Output, Shapes, Task, Term
from kdbench.methods.loading import load_submission

GOLDEN = Path(__file__).parents[1] / "golden"
STEPS, EPOCHS = 40, 3
Arrays = dict[str, NDArray[Any]]
Config = SelfSupervisedDistillation.Config


def read_golden(name: str) -> Arrays:
    with np.load(GOLDEN / name, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def golden() -> Arrays:
    return read_golden("sskd_student.npz")


def shapes(width: int) -> Shapes:
    return Shapes("cnn", width, (width, 4, 4), ((width, 4, 4),) * 4, None, 0)


def a_method(config: Config | None = None) -> SelfSupervisedDistillation:
    torch.manual_seed(0)
    total, device = EPOCHS * STEPS, torch.device("cpu")
    task = Task(10, 10, torch.arange(10), shapes(12), shapes(9), total, EPOCHS, seed=0, device=device)
    return SelfSupervisedDistillation(task, config or Config())


class Harness:
    """A `Run` on random images of 4 pixels: turning does not change their first channel, and the second is loud noise.

    The teacher's features are pixels of both, so its head must learn which of them tell samples apart.
    """

    progress, epoch, step = 0.0, 0, 0

    def __init__(self) -> None:
        self.forwards: list[tuple[str, Tensor]] = []
        self.logged: dict[str, list[float]] = {}
        self.drawn = 0
        self.student = nn.Linear(48, 10 + 9)

    def student_forward(self, images: Tensor) -> Output:
        self.forwards.append(("student", images))
        logits, pooled = self.student(images.flatten(1)).split([10, 9], dim=1)
        return Output(logits=logits, pooled=pooled)

    @torch.no_grad()
    def teacher_forward(self, images: Tensor) -> Output:
        self.forwards.append(("teacher", images))
        return Output(logits=images.flatten(1)[:, :10], pooled=self.teacher_features(images))

    def teacher_features(self, images: Tensor) -> Tensor:
        return images[:, :2, :2, :3].flatten(1)

    def batches(self, n: int) -> Iterator[Batch]:
        for _ in range(n):
            images = torch.randn(8, 3, 4, 4, generator=torch.Generator().manual_seed(self.drawn))
            images[:, 0] += sum(images[:, 0].rot90(turns, (1, 2)) for turns in (1, 2, 3))
            images[:, 1] *= 4
            self.drawn += 1
            yield Batch(images, torch.arange(8), torch.arange(8))

    def ema_forward(self, images: Tensor) -> Output:
        raise NotImplementedError

    def backward_and_step(self, losses: Losses) -> None:
        assert isinstance(losses, Mapping)
        values = [term.value * term.weight for term in losses.values() if isinstance(term, Term)]
        torch.stack(values).sum().backward()  # type: ignore[no-untyped-call]

    def log(self, **scalars: float | Tensor) -> None:
        for name, value in scalars.items():
            self.logged.setdefault(name, []).append(float(value))


def golden_config(golden: Arrays, setting: str) -> Config:
    weights, temperatures, ratios = np.split(golden[f"{setting}__cfg"], [4, 7])
    cross_entropy, distill, rotated, similarity = weights
    return Config(cross_entropy, distill, similarity, rotated, *temperatures, *ratios)


def assert_close(actual: Tensor, expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def golden_views(golden: Arrays, side: str) -> tuple[Views, Tensor, Tensor]:
    """Views of the official run's outputs, with the logits and the head's outputs that they come from."""
    logits, head = (torch.from_numpy(golden[f"{side}_{kind}"]).requires_grad_() for kind in ("out", "rep"))
    return Views(*split_views(logits), view_similarity(head)), logits, head


def weights_of(module: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


SETTINGS = ["default", "tf50_ss75", "tf0_ss0", "T_alt", "all"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_losses_and_gradients_are_those_of_the_official_code(golden: Arrays, setting: str) -> None:
    student, logits, head = golden_views(golden, "s")
    teacher, teacher_logits, teacher_head = golden_views(golden, "t")
    terms = a_method(golden_config(golden, setting)).terms(student, teacher, torch.from_numpy(golden["target"]))
    total = torch.stack([term.value * term.weight for term in terms.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    names = ("cross_entropy", "distillation", "rotated_distillation", "similarity_distillation")
    for number, name in enumerate(names, start=1):
        assert terms[name].value.item() == pytest.approx(golden[f"{setting}__loss{number}"], rel=1e-5)
    assert total.item() == pytest.approx(golden[f"{setting}__loss"], rel=1e-5)
    for actual, expected in ((logits, "grad_s_out"), (head, "grad_s_rep")):
        assert actual.grad is not None
        assert_close(actual.grad, golden[f"{setting}__{expected}"])
    assert teacher_logits.grad is None
    assert teacher_head.grad is None


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_rows_kept_are_those_of_the_official_code(golden: Arrays, setting: str) -> None:
    config = golden_config(golden, setting)
    for rows, ratio in (("tf", config.rotated_ratio), ("ss", config.similarity_ratio)):
        kept = kept_rows(torch.from_numpy(golden[f"rank_{rows}"]), ratio)
        np.testing.assert_array_equal(kept.nonzero().flatten().numpy(), golden[f"{setting}__index_{rows}"])


def test_ranks_and_similarities_are_those_of_the_official_code(golden: Arrays) -> None:
    teacher, student = golden_views(golden, "t")[0], golden_views(golden, "s")[0]
    assert_close(student.similarity, golden["s_simi"])
    assert_close(teacher.similarity, golden["t_simi"])
    of_class = truth_ranks(teacher.rotated, torch.from_numpy(golden["target"]).repeat_interleave(3))
    of_sample = truth_ranks(teacher.similarity, own_samples(teacher.similarity))
    np.testing.assert_array_equal(of_class.numpy(), golden["rank_tf"])
    np.testing.assert_array_equal(of_sample.numpy(), golden["rank_ss"])


def test_the_loss_of_stage_1_and_its_gradient_are_those_of_the_official_code() -> None:
    arrays = read_golden("sskd_teacher_head.npz")
    head = torch.from_numpy(arrays["rep"]).requires_grad_()
    similarity = view_similarity(head)
    np.testing.assert_array_equal(own_samples(similarity).numpy(), arrays["target"])
    loss = F.cross_entropy(similarity, own_samples(similarity))
    loss.backward()  # type: ignore[no-untyped-call]
    assert_close(similarity, arrays["simi"])
    assert loss.item() == pytest.approx(float(arrays["loss"]), rel=1e-5)
    assert head.grad is not None
    assert_close(head.grad, arrays["grad_rep"])


def test_views_are_the_image_and_its_quarter_turns_sample_by_sample() -> None:
    images = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    views = four_views(images)
    assert views.shape == (8, 3, 4, 4)
    assert torch.equal(views[0], images[0])
    assert torch.equal(views[4], images[1])
    assert torch.equal(views[5], images[1].transpose(1, 2).flip(1))
    assert torch.equal(views[6], images[1].flip(1, 2))
    assert torch.equal(views[7], images[1].transpose(1, 2).flip(2))
    assert torch.equal(views[1].rot90(1, (1, 2)), views[2])


def test_splitting_gives_back_what_was_interleaved() -> None:
    upright, rotated = split_views(torch.arange(8.0)[:, None])
    assert upright.flatten().tolist() == [0, 4]
    assert rotated.flatten().tolist() == [1, 2, 3, 5, 6, 7]


@given(right=st.integers(0, 200), wrong=st.integers(0, 200), ratio=st.floats(0, 1))
def test_all_right_rows_are_kept_and_the_rounded_down_share_of_the_wrong_ones(
    right: int, wrong: int, ratio: float
) -> None:
    ranks = torch.tensor([0] * right + list(range(1, wrong + 1)), dtype=torch.int64)
    shuffled = ranks[torch.randperm(len(ranks), generator=torch.Generator().manual_seed(right + wrong))]
    kept = shuffled[kept_rows(shuffled, ratio)]
    assert sorted(kept.tolist()) == ranks[: right + int(ratio * wrong)].tolist()


def test_the_share_is_rounded_down_as_a_double() -> None:
    assert kept_rows(torch.ones(100, dtype=torch.int64), 0.29).sum() == int(0.29 * 100) == 28


def test_of_equal_ranks_the_earlier_rows_are_kept() -> None:
    ranks = torch.tensor([2, 1, 0, 2, 1, 1, 0, 2] * 40)
    kept = kept_rows(ranks, 0.5)
    wrong = [row for row, rank in enumerate(ranks.tolist()) if rank == 1]
    assert kept[ranks == 0].all()
    assert [row for row in wrong if kept[row]] == wrong[: int(0.5 * 240)]
    assert not kept[ranks == 2].any()


def test_with_no_row_to_keep_the_term_is_zero_and_has_no_gradient() -> None:
    student = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    teacher = F.one_hot(torch.zeros(6, dtype=torch.int64), 4).float()
    loss = selective_kl(student, teacher, torch.ones(6, dtype=torch.int64), temperature=1.0, ratio=0.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert student.grad is not None
    assert not student.grad.any()


def test_a_row_that_is_not_kept_has_no_influence() -> None:
    teacher = torch.tensor([[3.0, 0, 0], [0, 3, 0], [3, 1, 2]])
    student, truth = torch.eye(3), torch.tensor([0, 0, 1])
    changed = torch.cat([student[:2], torch.tensor([[-7.0, 0, 7]])])
    losses = [selective_kl(scores, teacher, truth, temperature=2.0, ratio=0.5) for scores in (student, changed)]
    assert losses[0] == losses[1] > 0


def test_a_truth_that_shares_the_first_place_counts_as_first() -> None:
    assert truth_ranks(torch.tensor([[1.0, 1.0, 0.0], [2.0, 1.0, 1.0]]), torch.tensor([1, 2])).tolist() == [0, 1]


def test_a_student_equal_to_its_teacher_has_nothing_left_to_distil(golden: Arrays) -> None:
    teacher = golden_views(golden, "t")[0]
    terms = a_method().terms(teacher, teacher, torch.from_numpy(golden["target"]))
    for name in ("distillation", "rotated_distillation", "similarity_distillation"):
        assert terms[name].value.item() == pytest.approx(0, abs=1e-6)


def test_every_term_reaches_the_students_head_or_logits_and_no_teachers_head(golden: Arrays) -> None:
    method = a_method()
    teacher = golden_views(golden, "t")[0]
    logits, features = torch.from_numpy(golden["s_out"]).requires_grad_(), torch.randn(32, 9, requires_grad=True)
    student = Views(*split_views(logits), view_similarity(method.student_head(features)))
    terms = method.terms(student, teacher, torch.from_numpy(golden["target"]))
    leaves = (logits, features, *method.student_head.parameters())
    for name, term in terms.items():
        gradients = torch.autograd.grad(term.value, leaves, retain_graph=True, allow_unused=True)
        reached = [gradient is not None and bool(gradient.any()) for gradient in gradients]
        head_only = name == "similarity_distillation"
        assert reached == [not head_only, *[head_only] * 5]


def test_head_accuracy_is_one_for_samples_told_apart_and_zero_for_mixed_ones() -> None:
    samples = torch.eye(4).repeat_interleave(4, dim=0)
    assert similarity_accuracy(view_similarity(samples)) == 1
    similarity = view_similarity(samples)
    assert similarity_accuracy(similarity.roll(3, dims=0)) == 0


def test_similarities_are_float32_under_half_precision() -> None:
    head = torch.randn(16, 5, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        halved = view_similarity(head)
    assert torch.equal(halved, view_similarity(head))


def head_accuracy(method: SelfSupervisedDistillation, run: Harness) -> float:
    """How often the teacher's head finds the sample of an image that it was not trained on."""
    outputs = [run.teacher_forward(four_views(batch.images)) for batch in run.batches(50)]
    heads = [method.teacher_head(output.pooled) for output in outputs]
    return float(np.mean([similarity_accuracy(view_similarity(head)).item() for head in heads]))


def test_stage_1_trains_the_head_of_the_teacher_alone_until_it_finds_samples_again() -> None:
    method, run = a_method(Config(head_epochs=5)), Harness()
    untrained, students = head_accuracy(method, Harness()), weights_of(method.student_head)
    method.prepare(run)
    assert torch.equal(weights_of(method.student_head), students)
    assert untrained < 0.3
    assert head_accuracy(method, run) > 0.6
    assert set(run.logged) == {"stage1_head_accuracy"}
    assert len(run.logged["stage1_head_accuracy"]) == STEPS
    assert np.mean(run.logged["stage1_head_accuracy"]) == pytest.approx(head_accuracy(method, run), abs=0.2)


def test_stage_1_draws_one_pass_and_trains_on_all_of_it_in_changing_order() -> None:
    method, run = a_method(Config(head_epochs=3)), Harness()
    seen: list[Tensor] = []
    method.teacher_head.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    method.prepare(run)
    assert run.drawn == len(run.forwards) == STEPS
    expected = torch.cat([run.teacher_features(images) for _, images in run.forwards]).view(-1, 4 * 12)
    epochs = torch.cat(seen).view(3, -1, 4 * 12)
    for epoch in epochs:
        assert torch.equal(torch.unique(epoch, dim=0), torch.unique(expected, dim=0))
    assert not torch.equal(epochs[0], epochs[1])


def test_the_rate_of_stage_1_falls_tenfold_after_half_and_three_quarters() -> None:
    method = a_method(Config(head_epochs=4))
    (optimizer,) = method.optimizers().values()
    rates = []
    optimizer.register_step_post_hook(lambda used, *_: rates.append(used.param_groups[0]["lr"]))
    method.prepare(Harness())
    np.testing.assert_allclose(rates, np.repeat([0.05, 0.005, 0.0005], [2 * STEPS, STEPS, STEPS]))


def test_stage_2_shows_both_networks_four_views_once_and_trains_no_teachers_head() -> None:
    method, run = a_method(), Harness()
    (batch,) = run.batches(1)
    method.step(run, batch)
    assert [name for name, _ in run.forwards] == ["teacher", "student"]
    assert all(torch.equal(images, four_views(batch.images)) for _, images in run.forwards)
    assert all(parameter.grad is None for parameter in method.teacher_head.parameters())
    assert all(parameter.grad is not None for parameter in method.student_head.parameters())
    assert set(run.logged) == {"teacher_head_accuracy", "student_head_accuracy"}


def test_only_an_optimizer_of_its_own_holds_the_head_of_the_teacher() -> None:
    method = a_method()
    (optimizer,) = method.optimizers().values()
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in method.teacher_head.parameters()}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("cross_entropy_weight", -0.1),
        ("distill_weight", -1.0),
        ("similarity_weight", float("nan")),
        ("rotated_weight", -2.7),
        ("temperature", 0.0),
        ("rotated_temperature", -1.0),
        ("similarity_temperature", 0.0),
        ("rotated_ratio", 1.01),
        ("similarity_ratio", -0.01),
        ("head_learning_rate", 0.0),
        ("head_epochs", 0),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_name(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{setting} must .* got {value}$"):
        Config(**{setting: value})


def test_it_is_offered_in_the_papers_direction_only() -> None:
    assert load_submission("sskd").directions == ("vit-to-cnn",)
