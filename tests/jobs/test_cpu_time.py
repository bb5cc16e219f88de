"""What a CPU would take is counted: it grows with images, steps and networks."""

import pytest

from kdbench.jobs import cpu_time
from kdbench.jobs.cpu_time import building_seconds, operations_per_second, run_seconds
from kdbench.plan.matrix import PlannedRun
from kdbench.testsets.effort import building_operations
from kdbench.testsets.spec import load_spec
from tests.planned_runs import expanded

PAPER = load_spec().track("cifar10-224")
RATE = 5e10


@pytest.fixture(autouse=True)
def _known_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_time, "operations_per_second", lambda track: RATE)


def runs_on(images: int) -> list[PlannedRun]:
    return expanded(track=PAPER.model_copy(update={"data": PAPER.data.model_copy(update={"num_train": images})}))


def test_operations_are_those_of_the_literature() -> None:
    """ResNet-50: 4.1 billion multiply-adds an image (He et al. 2016, at 224 pixels); ViT-B/16: 17.5 (timm's tables).

    A training step is a forward pass and a backward one of twice its size; a student pays its teacher's forward pass.
    """
    some, more = (
        next(run for run in runs_on(images) if run.submission.name == "lm" and run.direction == "cnn-to-vit")
        for images in (10**6, 2 * 10**6)
    )
    seconds = run_seconds([more], diagnostics=False) - run_seconds([some], diagnostics=False)
    assert seconds * RATE == pytest.approx(some.epochs * 10**6 * 2e9 * (3 * 17.5 + 4.1), rel=0.05)


def test_twice_the_images_take_nearly_twice_the_time() -> None:
    some, more = (run_seconds(runs_on(images), diagnostics=False) for images in (100_000, 200_000))
    assert 1.6 < more / some < 2


def test_building_takes_its_operations_at_the_rate_of_the_cpu() -> None:
    assert building_seconds(PAPER.test_sets, PAPER) == building_operations(PAPER.test_sets, PAPER.data) / RATE > 0
    assert building_seconds(PAPER.primary_sets("clean"), PAPER) == 0


def test_the_fastest_step_sets_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0, 9.0, 10.0, 12.0, 20.0, 24.0, 30.0, 33.0, 40.0, 45.0]  # steps of 9, 2, 4, 3 and 5 seconds
    clock = iter(times)
    monkeypatch.setattr(cpu_time, "cpu_seconds", lambda: next(clock))
    slow = operations_per_second(load_spec().track("synthetic"))
    clock = iter([time / 2 for time in times])
    assert operations_per_second(load_spec().track("synthetic")) == pytest.approx(2 * slow)
    assert slow == pytest.approx(3 * 32 * 0.0513e9 / 2, rel=0.01)  # a forward pass of the CNN has 51 million operations


def test_the_rate_is_measured_on_the_track_itself() -> None:
    assert 1e8 < operations_per_second(load_spec().track("synthetic")) < 1e13
