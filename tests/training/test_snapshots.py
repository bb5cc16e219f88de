"""Weights kept along the way are those of that moment, and keeping them changes nothing."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from kdbench.data.training_sets import TrainingSet
from kdbench.records import WEIGHTS
from kdbench.training.loop import train
from kdbench.training.snapshots import snapshot_path, snapshot_steps
from tests.training.small_runs import BATCH, EPOCHS, IMAGES, Make

STEPS = EPOCHS * IMAGES // BATCH


def silent(done: int, total: int) -> None:
    pass


def test_snapshots_lie_close_together_at_first_and_end_with_the_run() -> None:
    steps = snapshot_steps(6400, 8)
    assert steps == (100, 400, 900, 1600, 2500, 3600, 4900, 6400)


@pytest.mark.parametrize("total", [1, 3, 8])
def test_a_short_run_has_as_many_snapshots(total: int) -> None:
    steps = snapshot_steps(total, 8)
    assert len(steps) == 8
    assert list(steps) == sorted(steps)
    assert steps[0] >= 1
    assert steps[-1] == total


def test_a_run_that_keeps_none_has_none() -> None:
    assert snapshot_steps(100, 0) == ()


def test_keeping_snapshots_changes_no_weight_and_the_last_is_the_result(make: Make, data: TrainingSet) -> None:
    plain, watched = make(place="plain"), replace(make(place="watched"), snapshots=4)
    assert train(plain, data, silent).weights == train(watched, data, silent).weights
    assert not list(plain.folder.glob("snapshot-*"))
    kept = [load_file(snapshot_path(watched.folder, number)) for number in (1, 2, 3, 4)]
    final = load_file(watched.folder / WEIGHTS)
    assert all(torch.equal(kept[-1][name], final[name]) for name in final)
    assert len({state["fc.bias"].numpy().tobytes() for state in kept}) == 4
    assert [int(state["bn1.num_batches_tracked"]) - int(final["bn1.num_batches_tracked"]) for state in kept] == [
        step - STEPS for step in snapshot_steps(STEPS, 4)
    ]
