"""Measures the paper's track in the fastest form of its steps, and what share of the matrix peak the ViT reaches."""

from collections.abc import Iterator

from benchmark.timing.rows import CheckRow, seconds
from benchmark.timing.training_rows import ALONE, REFERENCE, Bench, flop_counter
from kdbench.spec import Direction, families
from kdbench.timing.timed_training import Form, timed_training

TARGETS: dict[Direction, float] = {"cnn-to-vit": 17.0, "vit-to-cnn": 14.0}  # seconds per epoch of the reference
PEAK_SHARE = 0.45  # target of the ViT's share of the device's FLOP/s, where it trains alone


def paper_rows(bench: Bench, direction: Direction, form: Form = "compiled") -> Iterator[CheckRow]:
    """Yield the seconds per epoch of the reference method, and the share of the peak of a ViT that trains alone."""
    training = timed_training(bench.track, direction, REFERENCE, bench.device, bench.images, form)
    epoch = seconds(training.step, bench.steps, bench.device) * bench.steps_per_epoch
    text = f"{epoch:.1f} s per epoch, ran {training.execution}; the target is {TARGETS[direction]:g}"
    yield CheckRow(f"{REFERENCE} {direction}", text, epoch <= TARGETS[direction] if bench.has_targets else None)
    del training
    if families(direction).student == "vit":
        yield _alone(bench, direction, form)


def _alone(bench: Bench, direction: Direction, form: Form) -> CheckRow:
    flops = _flops_per_step(bench, direction)
    training = timed_training(bench.track, direction, ALONE, bench.device, bench.images, form)
    step = seconds(training.step, bench.steps, bench.device)
    share = flops / step / bench.peak
    text = f"{share:.3f} of the matrix peak, {step * bench.steps_per_epoch:.1f} s per epoch, ran {training.execution}"
    good = share >= PEAK_SHARE if bench.has_targets else None
    return CheckRow("ViT student alone", f"{text}; the target is {PEAK_SHARE:g}", good)


def _flops_per_step(bench: Bench, direction: Direction) -> int:
    """Return the floating-point operations of matrix products and convolutions, counted in an eager step."""
    training = timed_training(bench.track, direction, ALONE, bench.device, bench.images, "eager")
    with flop_counter() as counter:
        training.step()
    return int(counter.get_total_flops())
