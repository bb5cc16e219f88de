"""What captured steps need to see: uses of the run's numbers, what methods keep in Python, and results that differ."""

import itertools
import math
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdbench.training.capture.agreement import disagreement, losses_agree
from kdbench.training.capture.engine import NewTensors, NotCaptured
from kdbench.training.capture.method_state import MethodState, require_same_places, settle
from kdbench.training.capture.readings import Readings, still_hold

CPU = torch.device("cpu")


def test_numbers_are_passed_on_as_they_are_unless_they_are_watched() -> None:
    readings = Readings()
    assert type(readings.read("progress", 0.25, 4)) is float
    with readings.watching(4):
        assert type(readings.read("progress", 0.25, 4)) is not float
    assert type(readings.read("step", 3, 3)) is int


@pytest.mark.parametrize(
    "use",
    [
        lambda number: number + 1,
        lambda number: 1 - number,
        lambda number: number / 3,
        lambda number: number % 2,
        lambda number: -number,
        int,
        lambda number: f"{number:.2f}",
        math.cos,
        bool,
        hash,
        lambda number: torch.ones(2) * number,
        lambda number: number > torch.zeros(2),
        lambda number: number.real,
    ],
)
def test_every_use_of_a_watched_number_is_noted_and_gives_what_the_number_gives(use: Any) -> None:
    readings = Readings()
    with readings.watching(4):
        result = use(readings.read("progress", 0.25, 4))
    expected = use(0.25)
    assert torch.equal(result, expected) if isinstance(expected, torch.Tensor) else result == expected
    assert readings.used == {"progress"}
    assert readings.conditions == set()


def test_a_comparison_with_a_constant_is_a_condition_and_no_use() -> None:
    readings = Readings()
    with readings.watching(4):
        progress, step = readings.read("progress", 0.25, 4), readings.read("step", 4, 4)
        assert progress >= 0.1
        assert not progress > 0.5
        assert step != 5
    assert readings.used == set()
    assert still_hold(readings.conditions, SimpleNamespace(progress=0.4, step=6))
    assert not still_hold(readings.conditions, SimpleNamespace(progress=0.6, step=6))
    assert not still_hold(readings.conditions, SimpleNamespace(progress=0.4, step=5))


def test_a_number_that_is_read_after_the_update_of_its_step_counts_as_used() -> None:
    readings = Readings()
    with readings.watching(4):
        assert readings.read("step", 5, 5) == 5
    assert readings.changing() == "step"


@dataclass
class Part:
    number: int = 0


class Owner(nn.Module):
    """Holds something of each kind."""

    mean: torch.Tensor
    other: torch.Tensor
    late: torch.Tensor
    cycle: Any
    new: Any

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(()))
        self.number, self.history, self.names = 1.0, [1, [2]], {"a"}
        self.part, self.array, self.random = Part(), np.zeros(2), Random(0)
        self.by_name: dict[str, Any] = {"x": torch.zeros(3), "y": "text"}


def state_of(owner: object) -> MethodState:
    return MethodState({"self": owner}, CPU, __name__)


def change_of(owner: Owner, change: str) -> str | None:
    before = state_of(owner)
    exec(change, {"owner": owner, "torch": torch})  # one line of a method
    return before.changed(state_of(owner))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("owner.number += 1", "self.number"),
        ("owner.history.append(1)", "self.history"),
        ("owner.history[1][0] = 5", "self.history[1][0]"),
        ("owner.names.add('b')", "self.names"),
        ("owner.part.number = 2", "self.part.number"),
        ("owner.array[0] = 1", "self.array"),
        ("owner.random.random()", "self.random"),
        ("owner.by_name['y'] = 'other'", "self.by_name.y"),
        ("owner.by_name['z'] = 1", "self.by_name"),
        ("owner.linear.eval()", "self.linear.training"),
        ("owner.new = 1", "self.new"),
        ("owner.number = 1.0", None),
        ("owner.mean.add_(1)", None),
        ("owner.by_name['x'] = torch.ones(3)", None),
    ],
)
def test_a_change_of_what_a_method_keeps_in_python_is_named(change: str, path: str | None) -> None:
    assert change_of(Owner(), change) == path


def test_what_was_changed_is_put_back() -> None:
    owner = Owner()
    before, mean = state_of(owner), owner.mean
    owner.number, owner.mean, owner.new = 7.0, torch.ones(()), 3
    owner.history.append(9)
    del owner.by_name["y"]
    before.put_back()
    assert (owner.number, owner.history, owner.by_name["y"]) == (1.0, [1, [2]], "text")
    assert owner.mean is mean
    assert not hasattr(owner, "new")


def test_a_tensor_that_is_replaced_stays_the_same_tensor_with_the_new_contents() -> None:
    owner = Owner()
    before, mean, entry = state_of(owner), owner.mean, owner.by_name["x"]
    owner.mean, owner.by_name["x"] = owner.mean + 2, torch.ones(3)
    settle(before, state_of(owner))
    assert (owner.mean is mean, owner.by_name["x"] is entry) == (True, True)
    assert (float(mean), entry.tolist()) == (2.0, [1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "new", [torch.zeros(2), torch.zeros((), dtype=torch.int64), torch.ones(()).requires_grad_() * 2]
)
def test_a_tensor_that_does_not_fit_into_the_place_of_the_old_one_is_refused(new: torch.Tensor) -> None:
    owner = Owner()
    before = state_of(owner)
    owner.mean = new
    with pytest.raises(NotCaptured, match=r"`self\.mean`"):
        settle(before, state_of(owner))


def test_tensors_that_share_memory_are_not_copied_into() -> None:
    owner = Owner()
    owner.other = owner.by_name["x"].view(3)
    before = state_of(owner)
    owner.other = torch.ones(3)
    with pytest.raises(NotCaptured, match=r"`self\.other`"):
        settle(before, state_of(owner))


def test_a_new_tensor_and_an_iterator_are_noticed() -> None:
    owner = Owner()
    before = state_of(owner)
    owner.late = torch.zeros(1)
    with pytest.raises(NewTensors, match=r"`self\.late`"):
        require_same_places(before, state_of(owner))
    owner.cycle = itertools.cycle([1, 2])
    with pytest.raises(NotCaptured, match=r"iterator in `self\.cycle`"):
        state_of(owner)


@pytest.mark.parametrize(
    ("eager", "repeated", "differs"),
    [
        ([1.1, 1.2], [1.1, 1.2], False),
        ([1.1, 1.2], [1.1005, 1.2], False),
        ([1.1, 1.2], [1.0, 1.0], True),
        ([1.1, 1.2], [1.1, 1.3], True),
        ([1.0, 1.0], [1.0, 1.0000001], False),
        ([math.nan, 1.0], [math.nan, 1.0], False),
        ([1.0, 1.0], [math.nan, 1.0], True),
    ],
)
def test_computations_agree_if_they_differ_by_noise(eager: list[float], repeated: list[float], differs: bool) -> None:
    before, new, again = ({"weight": torch.tensor(values)} for values in ([1.0, 1.0], eager, repeated))
    assert disagreement(before, new, again, {"weight": "weights"}) == ("weights" if differs else None)


def test_whole_numbers_must_be_equal() -> None:
    before, new, frozen = ({"count": torch.tensor(count)} for count in (3, 4, 3))
    assert disagreement(before, new, new, {"count": "count"}) is None
    assert disagreement(before, new, frozen, {"count": "count"}) == "count"


def test_losses_agree_within_noise_or_if_neither_is_finite() -> None:
    assert losses_agree(2.0, 2.01)
    assert not losses_agree(2.0, 2.2)
    assert losses_agree(math.nan, math.inf)
    assert not losses_agree(1.0, math.nan)
