"""A training that is stopped in time has lost no step, and goes on to the weights of an unbroken one."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from kdbench.data.training_sets import TrainingSet
from kdbench.training import loop
from kdbench.training.checkpoints import CHECKPOINT, load_checkpoint
from kdbench.training.failures import Stopped
from kdbench.training.loop import train
from kdbench.training.outcome import OUTCOME, read_outcome
from kdbench.training.teacher import Supervised
from tests.training.small_runs import BATCH, EPOCHS, IMAGES, Make, Trained

STEPS = EPOCHS * IMAGES // BATCH


def silent(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("last_step", [0, 1, IMAGES // BATCH, STEPS - 1])
def test_a_stopped_training_saves_its_last_step_and_goes_on(
    make: Make, data: TrainingSet, trained: Trained, monkeypatch: pytest.MonkeyPatch, last_step: int
) -> None:
    unbroken, broken = read_outcome(trained(Supervised).folder), make()
    clock = [float(last_step == 0)]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def advance(done: int, total: int) -> None:
        clock[0] = float(done >= last_step)

    with pytest.raises(Stopped):
        train(replace(broken, stop_at=1.0), data, advance)
    saved = load_checkpoint(broken.folder)
    assert saved is not None
    assert saved["counts"].get("steps", 0) == last_step
    assert not (broken.folder / OUTCOME).exists()
    outcome = train(broken, data, silent)
    assert unbroken is not None
    assert (outcome.weights, outcome.budget) == (unbroken.weights, unbroken.budget)
    assert not (broken.folder / CHECKPOINT).exists()


def test_a_training_whose_last_step_ends_at_the_time_is_done(
    make: Make, data: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def advance(done: int, total: int) -> None:
        clock[0] = float(done == total)

    assert train(replace(make(), stop_at=1.0), data, advance).status == "ok"
