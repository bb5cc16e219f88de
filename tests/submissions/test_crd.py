"""Contrastive representation distillation computes what the authors' code computes, and keeps its memories in order."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from benchmark.submissions.crd import (
    ContrastiveRepresentationDistillation,
    Embedding,
    Memory,
    contrast_loss,
    draw_negatives,
    indifferent_loss,
)
from kdbench.api import Batch, Output, Shapes, Task

GOLDEN = Path(__file__).parents[1] / "golden"
CNN = Shapes("cnn", 12, (12, 4, 4), ((3, 32, 32), (6, 16, 16), (9, 8, 8), (12, 4, 4)), None, 0)
VIT = Shapes("vit", 7, (7, 8, 8), ((7, 8, 8),) * 4, (1, 65, 7), 1)
CLASSES, IMAGES, BATCH = 4, 40, 6
Arrays = dict[str, NDArray[Any]]


def golden(name: str) -> Arrays:
    with np.load(GOLDEN / name, allow_pickle=False) as arrays:
        return dict(arrays)


def assert_close(actual: Tensor, expected: NDArray[Any]) -> None:
    """Equal to 1e-5 of the largest value."""
    np.testing.assert_allclose(
        actual.detach().numpy(), expected.reshape(actual.shape), rtol=0, atol=1e-5 * np.abs(expected).max()
    )


def test_contrast_loss_and_its_gradient_are_those_of_the_official_code() -> None:
    arrays = golden("crd_contrast_loss.npz")
    x = torch.from_numpy(arrays["x"]).squeeze(2).requires_grad_()
    loss = contrast_loss(x, int(arrays["n_data"]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert_close(loss, arrays["loss"])
    assert x.grad is not None
    assert_close(x.grad, arrays["grad_x"])


class TwoSides:
    """The memories of the golden file, before its first step."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays, self.momentum = arrays, float(arrays["momentum"])
        self.num_train = int(arrays["n_data"])
        self.student, self.teacher = self._memory("memory_v1_before"), self._memory("memory_v2_before")

    def _memory(self, rows: str) -> Memory:
        memory = Memory(self.num_train, self.arrays[rows].shape[1], float(self.arrays["T"]))
        memory.rows.copy_(torch.from_numpy(self.arrays[rows]))
        return memory

    def step(self, prefix: str = "") -> dict[str, Tensor]:
        """Scores, losses and gradients of a step; the memories move on."""
        v_s, v_t = (torch.from_numpy(self.arrays[prefix + name]).requires_grad_() for name in ("v_s", "v_t"))
        index, compared = (torch.from_numpy(self.arrays[prefix + name]) for name in ("idx", "contrast_idx"))
        out_s, out_t = self.teacher(v_s, compared), self.student(v_t, compared)
        loss_s, loss_t = contrast_loss(out_s, self.num_train), contrast_loss(out_t, self.num_train)
        grad_v_s, grad_v_t = torch.autograd.grad(loss_s + loss_t, (v_s, v_t))
        self.student.update(index, v_s, self.momentum)
        self.teacher.update(index, v_t, self.momentum)
        return {
            "out_s": out_s,
            "out_t": out_t,
            "loss_s": loss_s,
            "loss_t": loss_t,
            "loss_total": loss_s + loss_t,
            "grad_v_s": grad_v_s,
            "grad_v_t": grad_v_t,
            "memory_v1_after": self.student.rows,
            "memory_v2_after": self.teacher.rows,
            "normalisers": torch.stack([self.teacher.z, self.student.z]),
        }


@pytest.mark.parametrize("prefix", ["", "step2_"], ids=["first step", "second step"])
def test_scores_losses_gradients_and_memories_are_those_of_the_official_code(prefix: str) -> None:
    arrays = golden("crd_memory.npz")
    sides = TwoSides(arrays)
    actual = sides.step()
    if prefix:
        actual = sides.step(prefix)
    actual["params_after"] = torch.cat([torch.tensor([6.0, 0.07]), actual.pop("normalisers"), torch.tensor([0.5])])
    compared = [name for name in actual if prefix + name in arrays]
    assert len(compared) == (7 if prefix else 10)
    for name in compared:
        assert_close(actual[name], arrays[prefix + name])


@given(k=st.integers(1, 5000), num_train=st.integers(1, 50_000))
def test_scores_that_are_all_alike_cost_ln_of_all_that_are_compared_and_one_nat_more(k: int, num_train: int) -> None:
    """x = 1 / n is what Z makes of them."""
    x = torch.full((2, k + 1), 1 / num_train, dtype=torch.float64)
    assert contrast_loss(x, num_train).item() == pytest.approx(indifferent_loss(k), rel=1e-2)
    assert math.log(k + 1) + 0.69 < indifferent_loss(k) < math.log(k + 1) + 1


def test_at_the_start_nothing_is_transferred() -> None:
    """With 4,096 compared and tau = .1 the pair of losses is known to start near 19.6, a little above indifference."""
    torch.manual_seed(0)
    memory = Memory(6000, 128, 0.1)
    v = torch.nn.functional.normalize(torch.randn(32, 128), dim=1)
    pair = 2 * contrast_loss(memory(v, torch.randint(6000, (32, 4097))), 6000).item()
    assert 2 * indifferent_loss(4096) == pytest.approx(18.64, abs=0.01)
    assert pair == pytest.approx(19.6, abs=0.4)


def test_recognising_the_image_costs_less_than_indifference() -> None:
    x = torch.full((3, 11), 0.1 / 50)
    x[:, 0] = 5.0
    assert contrast_loss(x, 50).item() < indifferent_loss(10)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 30))
def test_negatives_are_of_other_classes_and_none_comes_twice(seed: int, count: int) -> None:
    torch.manual_seed(seed)
    train_labels = torch.arange(IMAGES) % CLASSES
    labels = torch.randint(CLASSES, (BATCH,))
    drawn = draw_negatives(labels, train_labels, count)
    assert drawn.shape == (BATCH, count)
    assert (train_labels[drawn] != labels[:, None]).all()
    assert all(len(row.unique()) == count for row in drawn)


def test_every_image_of_another_class_is_as_likely_as_any_other() -> None:
    torch.manual_seed(0)
    train_labels = torch.arange(20) % CLASSES
    drawn = draw_negatives(torch.zeros(4000, dtype=torch.int64), train_labels, 5)
    share = drawn.flatten().bincount(minlength=20) / len(drawn)
    torch.testing.assert_close(share, torch.where(train_labels == 0, 0.0, 5 / 15), atol=0.03, rtol=0)


def a_task(num_train: int = IMAGES) -> Task:
    labels = torch.arange(num_train) % CLASSES
    return Task(CLASSES, num_train, labels, VIT, CNN, total_steps=8, epochs=2, seed=0, device=torch.device("cpu"))


def a_method(num_train: int = IMAGES, **config: Any) -> ContrastiveRepresentationDistillation:
    torch.manual_seed(0)
    return ContrastiveRepresentationDistillation(
        a_task(num_train), ContrastiveRepresentationDistillation.Config(**config)
    )


def a_batch(seed: int = 0) -> Batch:
    index = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed))[:BATCH]
    return Batch(torch.zeros(BATCH, 3, 32, 32), index % CLASSES, index)


class FixedRun:
    """Stands for the harness: networks that answer with fixed vectors; notes losses and numbers."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        self.student = Output(torch.randn(BATCH, CLASSES), pooled=torch.randn(BATCH, CNN.pooled, requires_grad=True))
        self.teacher = Output(torch.randn(BATCH, CLASSES), pooled=torch.randn(BATCH, VIT.pooled))
        self.losses: Any = None
        self.logged: dict[str, Any] = {}

    def student_forward(self, images: Tensor) -> Output:
        return self.student

    def teacher_forward(self, images: Tensor) -> Output:
        return self.teacher

    def batches(self, n: int) -> Any:
        return (a_batch(seed) for seed in range(n))

    def backward_and_step(self, losses: Any) -> None:
        self.losses = losses
        torch.stack([term.value * term.weight for term in losses.values()]).sum().backward()  # type: ignore[no-untyped-call]

    def log(self, **scalars: Any) -> None:
        self.logged.update(scalars)


@pytest.mark.parametrize("label_free", [False, True])
def test_the_first_that_an_image_is_compared_with_is_itself(label_free: bool) -> None:
    batch, method = a_batch(), a_method(label_free=label_free)
    compared = method.compared(batch)
    assert compared.shape == (BATCH, IMAGES // 3 + 1)
    assert torch.equal(compared[:, 0], batch.index)
    assert compared.min() >= 0
    assert compared.max() < IMAGES


def test_without_labels_images_of_every_class_are_drawn() -> None:
    batch, method = a_batch(), a_method(label_free=True, num_negatives=2000)
    drawn = method.compared(batch)[:, 1:]
    shares = drawn.flatten().bincount(minlength=IMAGES) / drawn.numel()
    torch.testing.assert_close(shares, torch.full((IMAGES,), 1 / IMAGES), atol=0.006, rtol=0)


@pytest.mark.parametrize(("num_train", "expected"), [(IMAGES, 13), (3000, 1000), (50_000, 4096)])
def test_how_many_are_compared_follows_the_size_of_the_training_set(num_train: int, expected: int) -> None:
    assert a_method(num_train).num_negatives == expected
    assert a_method(num_train, num_negatives=7).num_negatives == 7


def test_images_come_twice_only_where_too_few_are_of_other_classes() -> None:
    batch = a_batch()
    assert all(len(row.unique()) == 31 for row in a_method(num_negatives=30).compared(batch))
    drawn = a_method(num_negatives=31).compared(batch)[:, 1:]
    assert drawn.shape == (BATCH, 31)
    assert (drawn % CLASSES != batch.labels[:, None]).all()


def test_a_step_moves_the_memories_of_its_images_alone_and_keeps_their_length_at_one() -> None:
    batch, method = a_batch(), a_method()
    before = [memory.rows.clone() for memory in (method.memory_s, method.memory_t)]
    method.step(FixedRun(), batch)  # type: ignore[arg-type]
    seen = torch.zeros(IMAGES, dtype=torch.bool)
    seen[batch.index] = True
    for memory, old in zip((method.memory_s, method.memory_t), before, strict=True):
        assert torch.equal(memory.rows[~seen], old[~seen])
        assert not torch.isclose(memory.rows[seen], old[seen]).all(dim=1).any()
        torch.testing.assert_close(memory.rows[seen].norm(dim=1), torch.ones(BATCH))


def test_memories_start_at_a_length_of_about_one() -> None:
    assert Memory(500, 128, 0.07).rows.norm(dim=1).mean().item() == pytest.approx(1, abs=0.01)


def test_gradients_reach_both_embeddings_and_the_student_but_nothing_else() -> None:
    run, method = FixedRun(), a_method()
    method.step(run, a_batch())  # type: ignore[arg-type]
    assert run.student.pooled.grad is not None
    assert run.student.pooled.grad.abs().min() > 0
    names = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert names == {f"embed_{side}.linear.{part}" for side in "st" for part in ("weight", "bias")}
    assert not method.memory_s.rows.requires_grad
    assert not method.memory_s.z.requires_grad


def test_the_contrast_is_weighted_by_beta_and_logit_matching_is_off() -> None:
    run = FixedRun()
    a_method(beta=0.3).step(run, a_batch())  # type: ignore[arg-type]
    assert {name: term.weight for name, term in run.losses.items()} == {"cross_entropy": 1.0, "contrast": 0.3}


def test_logit_matching_can_be_added() -> None:
    run = FixedRun()
    a_method(distill_weight=2.0).step(run, a_batch())  # type: ignore[arg-type]
    assert run.losses["distillation"].weight == 2.0
    assert run.losses["distillation"].value > 0


def test_what_is_logged_is_the_distance_from_nothing_transferred() -> None:
    run = FixedRun()
    a_method().step(run, a_batch())  # type: ignore[arg-type]
    contrast = run.losses["contrast"].value.item()
    assert run.logged["contrast_student"] + run.logged["contrast_teacher"] == pytest.approx(contrast)
    assert run.logged["contrast_reference"] == pytest.approx(2 * (math.log(14) + 13 * math.log(14 / 13)))
    assert run.logged["contrast_below_reference"] == pytest.approx(run.logged["contrast_reference"] - contrast)


@pytest.mark.parametrize("emptied", ["memory_s", "memory_t"])
def test_each_network_is_compared_with_the_others_memory_before_the_step(emptied: str) -> None:
    """Scores against rows of zeros are all alike."""
    run, method = FixedRun(), a_method()
    getattr(method, emptied).rows.zero_()
    method.step(run, a_batch())  # type: ignore[arg-type]
    indifferent, telling = ("teacher", "student") if emptied == "memory_s" else ("student", "teacher")
    assert run.logged[f"contrast_{indifferent}"] == pytest.approx(indifferent_loss(13), rel=1e-5)
    assert run.logged[f"contrast_{telling}"] != pytest.approx(indifferent_loss(13), rel=1e-2)


@pytest.mark.parametrize("prefill", [False, True])
def test_prefilling_puts_the_embedded_vectors_of_one_pass_into_the_memories(prefill: bool) -> None:
    run, method = FixedRun(), a_method(prefill=prefill)
    before = method.memory_s.rows.clone()
    method.prepare(run)  # type: ignore[arg-type]
    moved = (method.memory_s.rows != before).any(dim=1)
    drawn = {row for seed in range(4) for row in a_batch(seed).index.tolist()}  # 4 of 8 steps are one epoch
    assert set(moved.nonzero().flatten().tolist()) == (drawn if prefill else set())
    if prefill:
        v_s, v_t = method.embedded(run.student, run.teacher)
        torch.testing.assert_close(method.memory_s.rows[a_batch(3).index], v_s.detach())
        torch.testing.assert_close(method.memory_t.rows[a_batch(3).index], v_t.detach())


def test_memories_and_normalisers_are_checkpointed() -> None:
    names = set(a_method().state_dict())
    assert {"memory_s.rows", "memory_s.z", "memory_t.rows", "memory_t.z"} <= names


def test_scores_are_of_full_precision_whatever_the_run_computes_in() -> None:
    torch.manual_seed(0)
    embedding, memory = Embedding(12, 128), Memory(IMAGES, 128, 0.07)
    pooled, compared = torch.randn(BATCH, 12).bfloat16(), torch.randint(IMAGES, (BATCH, 9))
    plain = memory(embedding(pooled), compared)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(memory(embedding(pooled), compared), plain)


@pytest.mark.parametrize(
    "values",
    [
        {"beta": 0.0},
        {"temperature": -0.07},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"dimension": 0},
        {"num_negatives": 0},
        {"distill_weight": -1.0},
        {"distill_temperature": 0.0},
    ],
)
def test_settings_without_meaning_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        ContrastiveRepresentationDistillation.Config(**values)  # type: ignore[arg-type]
