"""What a track would take on a processor, before anything is done: counted operations over a measured rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from kdbench.networks.models import new_backbone
from kdbench.plan.matrix import PlannedRun
from kdbench.spec import FAMILIES, Family, TestSet, Track
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.effort import META, building_operations, counted_operations
from kdbench.training.stopwatch import Stopwatch

PROBE_PIXELS = 32 * 32 * 32  # of all images of the probe: small ones go through a network many at a time
LEAST_PROBE = 2  # images
CPU = torch.device("cpu")
LEARNING = 3  # times the operations of an answer: forward, and backward to weights and to inputs


@dataclass(frozen=True)
class Expected:
    """Seconds, one after the other: for all runs with their evaluation, and for test sets that networks make."""

    runs: float
    test_sets: float


def expected_on_cpu(runs: Sequence[PlannedRun], *, diagnostics: bool) -> Expected:
    """What runs of one track and its test sets would take on as many threads as the track's runs have.

    Args:
        runs: at least one.
        diagnostics: with the diagnostic sets.
    """
    track = runs[0].track
    sets = evaluated_sets(track, diagnostics=diagnostics)
    rate = processor_rate(track)
    answer: dict[Family, float] = {family: _answer_operations(track, family) for family in FAMILIES}
    asked = sum(one.images for one in sets)
    operations = sum(_run_operations(run, answer) + asked * answer[run.family] for run in runs)
    return Expected(operations / rate, building_operations(sets, track.data) / rate)


def expected_building(sets: Sequence[TestSet], track: Track) -> float:
    """Seconds that networks would take to make some test sets of a track on the processor."""
    return building_operations(sets, track.data) / processor_rate(track)


def processor_rate(track: Track) -> float:
    """Operations a second of one training step of the track's CNN, on 32 images of 32 pixels or 2 of 224."""
    threads = torch.get_num_threads()
    torch.set_num_threads(track.training.cpu_threads)
    try:
        network = new_backbone(track, "cnn", seed=0, pretrained=False)
        size = track.data.image_size
        count = max(LEAST_PROBE, PROBE_PIXELS // size**2)
        images = torch.zeros(count, 3, size, size)

        def step() -> None:
            network(images).logits.sum().backward()

        return LEARNING * count * _answer_operations(track, "cnn") / _seconds(step)
    finally:
        torch.set_num_threads(threads)


def _run_operations(run: PlannedRun, answer: dict[Family, float]) -> float:
    images = run.epochs * (run.limit_train or run.track.data.num_train)
    return images * (LEARNING * answer[run.family] + (answer[run.teacher.family] if run.teacher else 0.0))


def _answer_operations(track: Track, family: Family) -> float:
    """Of one image through a network of the track."""
    with META:
        return counted_operations(new_backbone(track, family, seed=0, pretrained=False).eval(), track.data)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds that a piece of work takes once it is warm: the least of three, since others may use the machine."""
    stopwatch = Stopwatch(CPU)
    work()

    def once() -> float:
        started = stopwatch.now()
        work()
        return stopwatch.now() - started

    return min(once() for _ in range(3))
