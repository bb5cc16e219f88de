"""Scaling of whole runs: what is run, and what is said where nothing can be."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from kdbench.jobs.devices import cores, visible_gpus
from kdbench.jobs.gpu_room import MOST_RUNS
from kdbench.jobs.scaling import SMALL_RUN, powers_of_two, run_axes, scaling_of_steps, seconds_of_run
from kdbench.timing.scaling import CARDS, METHODS, SEEDS, WORKERS
from kdbench.timing.scaling_effort import ScalingEffort


def test_runs_grow_by_one_thing_at_a_time() -> None:
    measured: list[Mapping[str, Any]] = []

    def measure(options: Mapping[str, Any]) -> float:
        measured.append(options)
        return float(len(measured))

    axes = {axis.name: axis for axis in run_axes("cpu", measure)}
    assert list(axes) == [METHODS, SEEDS, WORKERS, CARDS]
    assert [point.size for point in axes[SEEDS].points] == [1, 2, 4]
    assert [len(options["methods"]) for options in measured[1:4]] == [1, 2, 4]
    assert [options["seeds"] for options in measured[4:7]] == ["0-0", "0-1", "0-3"]
    assert [options["workers"] for options in measured[7:]] == list(powers_of_two(cores()))
    assert [point.seconds for point in axes[METHODS].points] == [(2.0,), (3.0,), (4.0,)]  # after a run that warms up


def test_cards_are_not_measured_on_a_cpu() -> None:
    *_, cards = run_axes("cpu", lambda options: 1.0)
    assert (cards.points, cards.reason) == ((), "it needs two GPUs, and 0 are used here")


def test_each_run_on_cards_sees_as_many_and_has_one_worker_on_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr("torch.cuda.device_count", lambda: len(os.environ["CUDA_VISIBLE_DEVICES"].split(",")))
    seen: list[tuple[tuple[str, ...], int | None]] = []

    def measure(options: Mapping[str, Any]) -> float:
        seen.append((visible_gpus(), options.get("workers")))
        return 1.0

    *_, cards = run_axes("cuda", measure)
    assert [point.size for point in cards.points] == [1, 2, 4]
    assert seen[-3:] == [(("4",), 1), (("4", "5"), 1), (("4", "5", "6", "7"), 1)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5,6,7"


def test_a_gpu_gets_no_more_workers_than_it_gets_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kdbench.jobs.scaling.cores", lambda: 16)
    monkeypatch.setattr("kdbench.jobs.scaling.visible_gpus", lambda: ("0",))
    axes = {axis.name: axis for axis in run_axes("cuda", lambda options: 1.0)}
    assert [point.size for point in axes[WORKERS].points] == [1, 2, MOST_RUNS]


@pytest.mark.parametrize(("most", "numbers"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 4)), (8, (1, 2, 4, 8))])
def test_workers_double(most: int, numbers: tuple[int, ...]) -> None:
    assert powers_of_two(most) == numbers


def test_epochs_are_timed_in_a_confined_process() -> None:
    table = scaling_of_steps("cpu", ScalingEffort(images=(64,), pixels=(), rounds=1))
    (point,) = table.axes[0].points
    assert (point.size, len(point.seconds)) == (64, 1)
    assert "an epoch of lm" in table.axes[0].work


@pytest.mark.slow
def test_a_small_run_is_a_real_one() -> None:
    options = {**SMALL_RUN, "limit_train": 64, "methods": ("independent",), "seeds": "0", "device": "cpu"}
    assert seconds_of_run(options) > 0
