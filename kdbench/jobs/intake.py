"""Takes in what a training left, as if an adversary had left it.

The process tree of the training has ended before anything here runs. Files are regular ones of a limited size, or they
are refused; text is cut and cleaned; weights have the names, shapes and types of the spec's network, and are finite.
What is good is written anew into the record's folder; the rest becomes the reason of the run's failure.
"""

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from kdbench.errors import plain_text
from kdbench.files import atomic_file
from kdbench.jobs.hostile_files import Refused, plain_line, read_part, read_regular_file, remove
from kdbench.networks.models import new_backbone, write_tensors
from kdbench.plan.matrix import PlannedRun
from kdbench.records import LOG, WEIGHTS, Environment
from kdbench.training.outcome import OUTCOME, TALLY, Tally, TrainingOutcome, write_outcome
from kdbench.training.snapshots import snapshot_path

MOST_OUTCOME_BYTES: Final = 4 * 2**20
MOST_LOG_BYTES: Final = 256 * 2**10
MOST_TERMS: Final = 200  # numbers that a method logs per epoch
MOST_COUNT: Final = 2**53
WEIGHTS_MARGIN: Final = 2**20  # bytes of a header, beside the tensors


def take_in(scratch: Path, folder: Path, run: PlannedRun, environment: Environment | None) -> TrainingOutcome | None:
    """Move what a training left into the folder of its record.

    Args:
        scratch: the folder that the training could write to. It is removed once its content is safe.
        folder: of the record.
        run: what was trained.
        environment: under which it was trained, as the harness wrote it down.

    Returns:
        How the training ended, with reasons and names that are safe to show; None if it left no outcome.

    Raises:
        WriteError: the folder of the record cannot be written.
    """
    if scratch.is_symlink() or not scratch.is_dir():
        remove(scratch)
        return None
    try:
        _take_log(scratch, folder)
        outcome = _outcome(scratch / OUTCOME, run, environment)
        if outcome is not None and outcome.status == "ok":
            outcome = _with_weights(outcome, scratch, folder, run)
    except Refused as error:
        outcome = TrainingOutcome(status="error", reason=str(error), environment=environment)
    if outcome is not None:
        write_outcome(folder, outcome)
    with contextlib.suppress(OSError):
        (scratch / OUTCOME).unlink()  # first, so that a removal which is cut short leaves nothing to take in
    remove(scratch)
    return outcome


def _take_log(scratch: Path, folder: Path) -> None:
    """Keep the end of the log, without control characters."""
    try:
        descriptor = os.open(scratch / LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            return
        end = read_part(descriptor, max(0, status.st_size - MOST_LOG_BYTES), MOST_LOG_BYTES)
    finally:
        os.close(descriptor)
    lines = end.decode(errors="replace").split("\n")
    cut = [f"({status.st_size - MOST_LOG_BYTES} earlier bytes are left out)"] if status.st_size > MOST_LOG_BYTES else []
    with atomic_file(folder / LOG) as log:
        log.write("\n".join([*cut, *(plain_line(line) for line in lines)]).encode())


def _outcome(path: Path, run: PlannedRun, environment: Environment | None) -> TrainingOutcome | None:
    """Read how a training ended, or what it has counted so far; None if it left nothing of the kind."""
    text = read_regular_file(path, MOST_OUTCOME_BYTES)
    if text is None:
        return None
    try:
        outcome = TrainingOutcome.model_validate_json(text)
    except ValidationError as error:
        raise Refused(f"the training left {path.name}, which is not an outcome") from error
    if len(outcome.curves) > max(1, run.epochs) or any(len(epoch) > MOST_TERMS for epoch in outcome.curves):
        raise Refused(f"the training left curves of {len(outcome.curves)} epochs or of more than {MOST_TERMS} numbers")
    counts = (*outcome.budget.model_dump().values(), outcome.peak_memory_bytes, outcome.parameters)
    if not all(0 <= count <= MOST_COUNT for count in counts):
        raise Refused(f"the training left {path.name} with a count below 0 or above {MOST_COUNT}")
    curves = tuple({plain_text(name, 80): value for name, value in epoch.items()} for epoch in outcome.curves)
    return outcome.model_copy(
        update={"reason": plain_text(outcome.reason), "curves": curves, "environment": environment}
    )


def _with_weights(outcome: TrainingOutcome, scratch: Path, folder: Path, run: PlannedRun) -> TrainingOutcome:
    """Take in the weights, and the snapshots of a control: all of them or none.

    Weights that are not finite end the run as diverged.
    """
    snapshots = run.submission.control.snapshots if run.submission.control else 0
    left = [scratch / WEIGHTS, *(snapshot_path(scratch, number) for number in range(1, snapshots + 1))]
    states = [_read_weights(path, run) for path in left]
    if not all(_is_finite(state) for state in states):
        return outcome.model_copy(update={"status": "diverged", "reason": "weights are not finite", "weights": None})
    digests = [write_tensors(folder / path.name, state) for path, state in zip(left, states, strict=True)]
    return outcome.model_copy(update={"weights": digests[0], "reason": ""})


def _read_weights(left: Path, run: PlannedRun) -> dict[str, torch.Tensor]:
    """Return weights that have the names, shapes and types of the run's network."""
    expected = new_backbone(run.track, run.family, seed=0, pretrained=False).model.state_dict()
    size = sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
    content = read_regular_file(left, size + WEIGHTS_MARGIN)
    if content is None:
        raise Refused(f"the training ended without {left.name}")
    try:
        state = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        raise Refused(f"the training left {left.name}, which is not a file of weights") from error
    if state.keys() != expected.keys():
        raise Refused(f"the training left {left.name} with other tensors than those of the {run.family}")
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape or state[name].dtype != tensor.dtype:
            raise Refused(f"the training left {left.name}, whose tensor {name} has another shape or type")
    return state


def _is_finite(state: Mapping[str, torch.Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in state.values() if tensor.is_floating_point())


def counted(scratch: Path, run: PlannedRun) -> Tally:
    """Return what a training that did not end by itself had counted when it saved last; nothing if that is unclear."""
    try:
        return Tally(_outcome(scratch / TALLY, run, None))
    except Refused:
        return Tally()


def forget_failure(scratch: Path) -> None:
    """Remove what says that a training failed, so that it is done again."""
    try:
        text = read_regular_file(scratch / OUTCOME, MOST_OUTCOME_BYTES)
        failed = text is not None and TrainingOutcome.model_validate_json(text).status != "ok"
    except (Refused, ValidationError):
        failed = True
    if failed:
        remove(scratch)
