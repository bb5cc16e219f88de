"""The building blocks of losses do what their names say, in full precision where the networks compute in less."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from kdbench.blocks import check_numbers, decouple, full_precision, kd_loss, on_common_grid

GOLDEN = Path(__file__).parent / "golden"


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@full_precision
def gram(rows: Tensor) -> Tensor:
    return rows @ rows.T


@pytest.mark.parametrize(
    ("given_type", "computed_type"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)],
)
def test_full_precision_is_at_least_float32(given_type: torch.dtype, computed_type: torch.dtype) -> None:
    rows = random(0, 4, 50).to(given_type)
    with torch.autocast("cpu", torch.bfloat16):
        product, by_name = gram(rows), gram(rows=rows)
        assert rows.float().matmul(rows.float().T).dtype == torch.bfloat16
    assert product.dtype == by_name.dtype == computed_type
    assert torch.equal(product, rows.to(computed_type) @ rows.to(computed_type).T)
    assert torch.equal(product, by_name)


@pytest.mark.parametrize("column", range(5))
def test_kd_loss_and_its_gradient_are_those_of_the_official_code(column: int) -> None:
    with np.load(GOLDEN / "kd.npz", allow_pickle=False) as arrays:
        golden: dict[str, Any] = dict(arrays)
    student = torch.from_numpy(golden["y_s"]).requires_grad_()
    loss = kd_loss(student, torch.from_numpy(golden["y_t"]), float(golden["T"][column]))
    (gradient,) = torch.autograd.grad(loss, student)
    expected = golden["grad_y_s"][column]
    assert loss.item() == pytest.approx(golden["loss"][column], rel=1e-5)
    np.testing.assert_allclose(gradient.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_kd_loss_reaches_the_teacher_with_no_gradient() -> None:
    student, teacher = random(0, 4, 10).requires_grad_(), random(1, 4, 10).requires_grad_()
    kd_loss(student, teacher, 4.0).backward()  # type: ignore[no-untyped-call]
    assert student.grad is not None
    assert teacher.grad is None


@given(seed=st.integers(0, 10**6), temperature=st.floats(0.5, 8))
def test_decoupled_probabilities_multiply_to_those_of_the_softmax(seed: int, temperature: float) -> None:
    logits, labels = random(seed, 5, 4).double(), torch.arange(5) % 4
    target, others = decouple(logits, labels, temperature)
    whole = F.softmax(logits / temperature, dim=1)
    true = F.one_hot(labels, 4).bool()
    torch.testing.assert_close(target.exp()[:, 0], whole[true])
    torch.testing.assert_close((target[:, 1:] + others).exp(), whole[~true].view(5, 3))


def test_the_finer_map_is_averaged_to_the_grid_of_the_coarser_one() -> None:
    fine, coarse = random(0, 2, 3, 8, 8), random(1, 2, 5, 4, 4)
    for first, second in ((fine, coarse), (coarse, fine)):
        pooled = on_common_grid(first, second)
        assert [part.shape for part in pooled] == [(2, len(part[0]), 4, 4) for part in (first, second)]
    torch.testing.assert_close(on_common_grid(fine, coarse)[0], F.avg_pool2d(fine, 2))
    assert on_common_grid(fine, coarse)[1] is coarse


def test_grids_of_other_proportions_meet_at_the_coarser_side_of_each_axis() -> None:
    student, teacher = on_common_grid(random(0, 1, 2, 6, 3), random(1, 1, 2, 4, 9))
    assert student.shape == teacher.shape == (1, 2, 4, 3)


@dataclass
class Settings:
    weight: float = 0.0
    temperature: float = 1.0


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_numbers_that_have_no_meaning_are_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match="weight must be a number from 0, got"):
        check_numbers(Settings(weight=value), from_zero=("weight",), above_zero=("temperature",))
    with pytest.raises(ValueError, match="temperature must be a number above 0, got"):
        check_numbers(Settings(temperature=value), from_zero=("weight",), above_zero=("temperature",))


def test_zero_is_a_weight_but_no_temperature() -> None:
    check_numbers(Settings(), from_zero=("weight",), above_zero=("temperature",))
    with pytest.raises(ValueError, match="temperature must be a number above 0, got 0"):
        check_numbers(Settings(temperature=0), above_zero=("temperature",))
