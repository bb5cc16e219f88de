"""Estimates what a track takes on a CPU before anything is done: counted operations over a measured rate."""

from collections.abc import Sequence

import torch

from kdbench.networks.models import new_backbone
from kdbench.plan.costs import answers_of
from kdbench.plan.matrix import PlannedRun
from kdbench.spec import FAMILIES, Family, TestSet, Track
from kdbench.testsets.effort import META, building_operations, counted_operations
from kdbench.training.stopwatch import cpu_seconds

LEARNING = 3  # times the operations of a forward pass: forward, and backward to weights and to inputs
PROBES = 5  # steps, of which the fastest counts: the first one prepares what later ones reuse
PROBE_PIXELS = 32 * 32 * 32  # of all images of the probe: small ones go through a network many at a time


def run_seconds(runs: Sequence[PlannedRun], *, diagnostics: bool) -> float:
    """Return the seconds that runs of one track, at least one, take one after the other, evaluation included."""
    track = runs[0].track
    forward: dict[Family, float] = {family: _forward_operations(track, family) for family in FAMILIES}
    answers = answers_of(track, diagnostics=diagnostics)
    operations = 0.0
    for run in runs:
        per_image = LEARNING * forward[run.family] + (forward[run.teacher.family] if run.teacher else 0.0)
        operations += run.seen_images * per_image + answers * forward[run.family]
    return operations / operations_per_second(track)


def building_seconds(test_sets: Sequence[TestSet], track: Track) -> float:
    """Return the seconds in which networks make some test sets of a track."""
    operations = building_operations(test_sets, track.data)
    return operations / operations_per_second(track) if operations else 0.0


def operations_per_second(track: Track) -> float:
    """Return the rate of a training step of the track's CNN on as many threads as the track's runs have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(track.training.cpu_threads)
    try:
        network, size = new_backbone(track, "cnn", seed=0, pretrained=False), track.data.image_size
        images = torch.zeros(max(2, PROBE_PIXELS // size**2), 3, size, size)
        seconds = min(_seconds_of_step(network, images) for _ in range(PROBES)) / track.training.cpu_threads
        return LEARNING * len(images) * _forward_operations(track, "cnn") / seconds
    finally:
        torch.set_num_threads(threads)


def _seconds_of_step(network: torch.nn.Module, images: torch.Tensor) -> float:
    """Return the CPU time of a training step, on which other processes of the machine have little effect."""
    started = cpu_seconds()
    network(images).logits.sum().backward()
    return cpu_seconds() - started


def _forward_operations(track: Track, family: Family) -> float:
    with META:
        return counted_operations(new_backbone(track, family, seed=0, pretrained=False).eval(), track.data)
