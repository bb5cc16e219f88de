"""Measures training steps on small images, which wait for the host unless they are captured.

The harness's loop in its forms and a plain loop are timed in turn. A form is how a step runs: eagerly, captured as one
graph, or captured with networks that went through torch.compile.
"""

from collections.abc import Callable, Iterator, Sequence

import torch

from benchmark.timing.loops import LoopEffort, interleaved, plain_step
from benchmark.timing.rows import CheckRow
from kdbench.spec import Direction, Track
from kdbench.timing.medians import MedianInterval, median_interval, paired_ratio
from kdbench.timing.step_times import in_words
from kdbench.timing.timed_training import Form, timed_training

METHOD, PLAIN = "lm", "plain loop"
TARGET = 5.0  # times the images per second of the plain loop, in one process
STAGES: tuple[tuple[Form, ...], ...] = (("eager", "captured"), ("compiled",))  # compiling takes a minute, so it is last
RATIO = "ratio"  # prefix of facts


def small_rows(
    track: Track,
    direction: Direction,
    device: torch.device,
    effort: LoopEffort,
    stages: Sequence[Sequence[Form]] = STAGES,
) -> Iterator[CheckRow]:
    """Yield a row for each form of the step beside the plain loop, then one for the fastest of them.

    Args:
        track, direction, device, effort: of the measurement.
        stages: forms that are measured together; the rows of a stage come before the next one starts.
    """
    plain = plain_step(track, direction, device, effort)
    plain()  # its workers start while this process has few threads
    facts: dict[str, float] = {}
    for forms in stages:
        for row in _stage_rows(track, direction, device, effort, forms, plain):
            facts |= row.facts
            yield row
    ratio = max(value for name, value in facts.items() if name.startswith(RATIO))
    rate = max(facts[f"{direction} {form}"] for forms in stages for form in forms)
    text = f"{ratio:.2f} times the images/s of the {PLAIN}; the target is {TARGET:g}"
    yield CheckRow(f"{direction} in one process", text, ratio >= TARGET, {f"{direction} fastest": rate})


def _stage_rows(
    track: Track,
    direction: Direction,
    device: torch.device,
    effort: LoopEffort,
    forms: Sequence[Form],
    plain: Callable[[], object],
) -> Iterator[CheckRow]:
    """Time some forms and the plain loop in turn."""
    trainings = {form: timed_training(track, direction, METHOD, device, effort.images, form) for form in forms}
    loops: dict[str, Callable[[], object]] = {form: training.step for form, training in trainings.items()}
    spent = interleaved({**loops, PLAIN: plain}, device, effort)
    images = effort.steps * track.training.batch_size
    rates = {name: median_interval([images / each.wall for each in rounds]) for name, rounds in spent.items()}
    yield CheckRow(
        f"{direction} {PLAIN}",
        f"{in_whole(rates[PLAIN])} images/s",
        facts={f"{direction} {PLAIN}": rates[PLAIN].median},
    )
    for form, training in trainings.items():
        ratio = paired_ratio([each.wall for each in spent[PLAIN]], [each.wall for each in spent[form]])
        yield CheckRow(
            f"{direction} {form}",
            f"{in_whole(rates[form])} images/s, {in_words(ratio)} times the {PLAIN}, ran {training.execution}",
            facts={f"{direction} {form}": rates[form].median, f"{RATIO} {direction} {form}": ratio.median},
        )


def in_whole(rate: MedianInterval) -> str:
    """Return a rate and its interval for a sentence."""
    return f"{rate.median:.0f} ({rate.low:.0f} to {rate.high:.0f})"
