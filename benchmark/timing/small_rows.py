"""Measures training steps on small images, which wait for the host unless they are captured.

The harness's loop in its forms and a plain loop are timed in turn. A form is how a step runs: eagerly, captured as one
graph, or captured with networks that went through torch.compile.
"""

from collections.abc import Callable, Iterator

import torch

from benchmark.timing.loops import LoopEffort, interleaved, plain_step
from benchmark.timing.rows import CheckRow
from kdbench.spec import Direction, Track
from kdbench.timing.medians import median_interval, paired_ratio
from kdbench.timing.step_times import in_words
from kdbench.timing.timed_training import FORMS, Form, timed_training

METHOD, PLAIN = "lm", "plain loop"
TARGET = 5.0  # times the images per second of the plain loop, in one process


def small_rows(
    track: Track, direction: Direction, device: torch.device, effort: LoopEffort, forms: tuple[Form, ...] = FORMS
) -> Iterator[CheckRow]:
    """Yield a row for each form of the step, then one for the fastest form beside the plain loop."""
    plain = plain_step(track, direction, device, effort)
    plain()  # its workers start while this process has few threads
    trainings = {form: timed_training(track, direction, METHOD, device, effort.images, form) for form in forms}
    loops: dict[str, Callable[[], object]] = {form: training.step for form, training in trainings.items()}
    spent = interleaved({**loops, PLAIN: plain}, device, effort)
    images = effort.steps * track.training.batch_size
    rates = {name: median_interval([images / each.wall for each in rounds]) for name, rounds in spent.items()}
    for name, rate in rates.items():
        ran = "".join(f", ran {training.execution}" for form, training in trainings.items() if form == name)
        text = f"{rate.median:.0f} images/s ({rate.low:.0f} to {rate.high:.0f}){ran}"
        yield CheckRow(f"{direction} {name}", text, facts={f"{direction} {name}": rate.median})
    fastest = max(loops, key=lambda name: rates[name].median)
    ratio = paired_ratio([each.wall for each in spent[PLAIN]], [each.wall for each in spent[fastest]])
    yield CheckRow(
        f"{direction} {fastest} beside the {PLAIN}",
        f"{in_words(ratio)} times its images/s; the target is {TARGET:g}",
        ratio.median >= TARGET,
        {f"{direction} fastest": rates[fastest].median},
    )
