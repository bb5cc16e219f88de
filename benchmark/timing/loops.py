"""Measures the harness's loop and the loop of published repositories in turn: `python benchmark/timing/loops.py`.

Both train the student of `lm` on the same noise images, with networks of the track's sizes and random weights.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil
import torch

from benchmark.timing.plain_loop import Pictures, plain_loop
from benchmark.timing.rows import now
from kdbench.spec import Direction, Track
from kdbench.testsets.spec import load_spec
from kdbench.timing.medians import MedianInterval, median_interval, paired_ratio
from kdbench.timing.step_times import in_words
from kdbench.timing.timed_training import noise_set, timed_training

METHOD = "lm"
PREFETCHED = 2  # batches that each worker of a DataLoader keeps ready


@dataclass(frozen=True)
class LoopEffort:
    """The size of a measurement.

    Attributes:
        steps: that are timed per round, of each loop.
        rounds: in each of which both loops are timed, one after the other; at least `LEAST_ROUNDS`.
        workers: of the plain loop's DataLoader.
        images: number of training images.
    """

    steps: int
    rounds: int
    workers: int
    images: int


@dataclass(frozen=True)
class LoopRates:
    """The rates of both loops.

    Attributes:
        ours, plain: images per second of wall time; medians over the rounds.
        ratio: of ours to the plain one, round by round.
        processor_ratio: of the plain loop's CPU seconds, those of its workers included, to ours.
    """

    ours: MedianInterval
    plain: MedianInterval
    ratio: MedianInterval
    processor_ratio: MedianInterval


@dataclass(frozen=True)
class Spent:
    """The seconds of one round of a loop.

    Attributes:
        wall: of wall time.
        processor: of CPU time, of all processes of the loop.
    """

    wall: float
    processor: float


def loop_rates(track: Track, direction: Direction, device: torch.device, effort: LoopEffort) -> LoopRates:
    """Measure both loops in turn."""
    training = timed_training(track, direction, METHOD, device, effort.images)
    spent = interleaved({"ours": training.step, "plain": plain_step(track, direction, device, effort)}, device, effort)
    images, ours, plain = effort.steps * track.training.batch_size, spent["ours"], spent["plain"]
    return LoopRates(
        ours=median_interval([images / each.wall for each in ours]),
        plain=median_interval([images / each.wall for each in plain]),
        ratio=paired_ratio([each.wall for each in plain], [each.wall for each in ours]),
        processor_ratio=paired_ratio([each.processor for each in plain], [each.processor for each in ours]),
    )


def plain_step(track: Track, direction: Direction, device: torch.device, effort: LoopEffort) -> Callable[[], object]:
    """Return a function that runs one step of the plain loop on noise images."""
    noise = noise_set(track, effort.images)
    pictures = Pictures(noise.images, noise.labels, track.data, track.augmentation)
    return plain_loop(track, direction, device, pictures, effort.workers)


def interleaved(
    loops: Mapping[str, Callable[[], object]], device: torch.device, effort: LoopEffort
) -> dict[str, list[Spent]]:
    """Time the loops in turn, round after round, after a round of warm-up."""
    rounds = [{name: _round(step, device, effort) for name, step in loops.items()} for _ in range(effort.rounds + 1)]
    return {name: [each[name] for each in rounds[1:]] for name in loops}


def _round(step: Callable[[], object], device: torch.device, effort: LoopEffort) -> Spent:
    """Time some steps of a loop, after as many as may have their batches ready."""
    for _ in range(PREFETCHED * effort.workers):
        step()
    started, used = now(device), processor_seconds()
    for _ in range(effort.steps):
        step()
    return Spent(now(device) - started, processor_seconds() - used)


def processor_seconds() -> float:
    """Return the CPU seconds that this process and its living children have used."""
    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--track", default="cifar10-32", help="a track whose images are stored at their own size")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=4, help="steps of each loop per round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, default=1, help="of the plain loop's DataLoader")
    parser.add_argument("--images", type=int, default=3000, help="number of training images")
    arguments = parser.parse_args()
    track, device = load_spec().track(arguments.track), torch.device(arguments.device)
    if device.type == "cpu":
        torch.set_num_threads(track.training.cpu_threads)
    effort = LoopEffort(arguments.steps, arguments.rounds, arguments.workers, arguments.images)
    for direction in track.directions:
        rates = loop_rates(track, direction, device, effort)
        print(
            f"{direction}: ours {rates.ours.median:.0f} images/s, plain loop {rates.plain.median:.0f}; ratio "
            f"{in_words(rates.ratio)}, of CPU seconds {in_words(rates.processor_ratio)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
