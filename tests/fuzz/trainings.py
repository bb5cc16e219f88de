"""What a training leaves and what it reports, as an adversary may leave and report it."""

import math
import os
import shutil
import struct
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from safetensors.torch import save

from kdbench.errors import MOST_REASON
from kdbench.jobs.evaluate_job import evaluate_run
from kdbench.jobs.intake import MOST_LOG_BYTES, forget_failure, take_in
from kdbench.jobs.job import Job
from kdbench.jobs.opened_sets import OpenedSets
from kdbench.networks.models import new_backbone, read_weights
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import Control, PlannedRun
from kdbench.records import LOG, RESULT, WEIGHTS, Budget, Record, Status, Timing, read_record, write_record
from kdbench.training.outcome import OUTCOME, TALLY, TrainingOutcome, read_outcome
from kdbench.training.snapshots import snapshot_path
from tests.examples import ENVIRONMENT, a_record
from tests.fuzz.leftovers import SECRET, Leftovers, lay, leftovers, nothing_outside_changed
from tests.fuzz.mutations import damaged_bytes, damaged_json
from tests.fuzz.property import MOST_SECONDS, Property, check_message
from tests.planned_runs import expanded
from tests.time_limits import within_seconds

SNAPSHOTS_KEPT = 2
FAILURE: tuple[Status, str] = ("timeout", "took more than 5 seconds")


def training_properties(root: Path) -> list[Property]:
    """Return what holds whatever a training leaves, each with a folder of its own."""
    run = next(run for run in expanded() if run.role == "student" and run.family == "cnn")
    control = replace(run, submission=replace(run.submission, control=Control(snapshots=SNAPSHOTS_KEPT)))
    return [
        _intake("intake", root / "intake", run, 0),
        _intake("snapshots-intake", root / "snapshots-intake", control, SNAPSHOTS_KEPT),
        _killed(root / "killed", run),
        _forgotten(root / "forgotten"),
    ]


WHOLE = TrainingOutcome(
    status="ok",
    budget=Budget(steps=10, examples=640, student_forward_images=640),
    timing=Timing(data=0.1, training=1.5, epochs=(0.7, 0.8)),
    peak_memory_bytes=10**8,
    parameters=1000,
    weights="0" * 64,
    curves=({"loss": 1.0, "train_accuracy": 0.2}, {"loss": 0.5}),
    environment=ENVIRONMENT,
)
FAILED = WHOLE.model_copy(update={"status": "error", "reason": "RuntimeError: no", "weights": None})


def _json(outcome: TrainingOutcome) -> bytes:
    return outcome.model_dump_json(indent=1).encode()


LEFT_IN_ORDER = {OUTCOME: _json(WHOLE), TALLY: _json(WHOLE), LOG: b"epoch 1\n"}


def outcomes() -> SearchStrategy[bytes]:
    """Draw the JSON of outcomes and tallies."""
    return st.sampled_from((WHOLE, WHOLE, FAILED)).flatmap(lambda outcome: damaged_json(_json(outcome)))


def logs() -> SearchStrategy[bytes]:
    """Draw logs, long ones and such with control characters among them."""
    line = st.sampled_from(
        (b"epoch 1\n", b"\x1b[2J", b"\x1b]0;title\x07", b"\xff\xfe", b"\r", b"\x00", b"\xe2\x80\xae")
    )
    long = st.sampled_from((b"x" * MOST_LOG_BYTES, b"\n" * (MOST_LOG_BYTES + 1), b"\xf0\x9f\x98" * MOST_LOG_BYTES))
    return st.lists(line | st.binary(max_size=40), max_size=6).map(b"".join) | st.tuples(
        st.binary(max_size=3), long, st.binary(max_size=3)
    ).map(b"".join)


@st.composite
def damaged_weights(draw: st.DrawFn, state: Mapping[str, torch.Tensor]) -> bytes:
    """Draw a file of weights with other numbers, another header, or damaged bytes."""
    content = save(dict(state))
    size = int.from_bytes(content[:8], "little")
    header, tensors = content[8 : 8 + size], content[8 + size :]
    match draw(st.integers(0, 5)):
        case 0:
            return draw(damaged_bytes(content))
        case 1:
            length = draw(st.sampled_from((0, 1, size - 1, size + 1, 2**31, 2**63, 2**64 - 1)))
            return struct.pack("<Q", length) + header + tensors
        case 2:
            changed = draw(damaged_json(header.rstrip()))
            return struct.pack("<Q", len(changed)) + changed + tensors
        case 3 | 4:
            number = draw(st.floats(width=32) | st.sampled_from((math.nan, math.inf, -math.inf)))
            at = draw(st.integers(0, len(tensors) // 4 - 1)) * 4
            return content[: 8 + size] + tensors[:at] + struct.pack("<f", number) + tensors[at + 4 :]
    return content


def _scratch(state: Mapping[str, torch.Tensor], snapshots: int) -> SearchStrategy[Leftovers]:
    names = [WEIGHTS, *(snapshot_path(Path(), number).name for number in range(1, snapshots + 1))]
    weights = dict.fromkeys(names, damaged_weights(state))
    whole = LEFT_IN_ORDER | dict.fromkeys(names, save(dict(state)))
    return leftovers(whole, {OUTCOME: outcomes(), TALLY: outcomes(), LOG: logs(), **weights})


def _intake(name: str, place: Path, run: PlannedRun, snapshots: int) -> Property:
    """Return that what is taken in is whole and clean, and that all of the rest is gone."""
    state = new_backbone(run.track, run.family, seed=1, pretrained=False).model.state_dict()

    def holds(left: Leftovers) -> bool:
        scratch, folder = place / "scratch", place / "record"
        lay(scratch, left)
        with within_seconds(MOST_SECONDS):
            outcome = take_in(scratch, folder, run, ENVIRONMENT)
        assert not os.path.lexists(scratch)
        assert nothing_outside_changed(scratch)
        _check_taken(folder, outcome)
        shutil.rmtree(folder, ignore_errors=True)
        return outcome is not None and outcome.status == "ok"

    return Property(name, _scratch(state, snapshots), holds, heavy=True)


def _check_taken(folder: Path, outcome: TrainingOutcome | None) -> None:
    """Assert that the folder of a record holds an outcome, as it was returned, and what belongs to it."""
    kept = {path.name for path in folder.iterdir()} if folder.exists() else set()
    assert read_outcome(folder) == outcome
    _check_log(folder / LOG)
    if outcome is None:
        assert kept <= {LOG}
        return
    _check_words(outcome)
    expected = {OUTCOME, WEIGHTS} if outcome.status == "ok" else {OUTCOME}
    assert {name for name in kept if not name.startswith("snapshot-")} - {LOG} == expected, kept
    if outcome.status == "ok":
        tensors = read_weights(folder / WEIGHTS, outcome.weights)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    _record_of(outcome, folder)


def _check_words(outcome: TrainingOutcome | Record) -> None:
    """Assert that the reason and the names in the curves can be shown, and that the environment is the harness's."""
    assert len(outcome.reason) <= MOST_REASON + 3
    for text in (outcome.reason, *(name for epoch in outcome.curves for name in epoch)):
        check_message(text or "x", ("",))
    assert outcome.environment == ENVIRONMENT


def _check_log(log: Path) -> None:
    if log.exists():
        text = log.read_text()
        assert not any(unicodedata.category(c).startswith("C") for c in text if c not in "\n\t")
        assert len(text) <= MOST_LOG_BYTES + 100
        assert SECRET.decode() not in text


def _record_of(outcome: TrainingOutcome, folder: Path) -> None:
    """Assert that a record can be made of an outcome, written and read."""
    fields = {name: getattr(outcome, name) for name in TrainingOutcome.model_fields if name != "weights"}
    record = a_record(**fields)
    write_record(folder, record, {})
    assert read_record(folder).curves == record.curves


def _killed(place: Path, run: PlannedRun) -> Property:
    """Return that a run that was ended has a record, whatever it had counted by then."""

    def holds(left: Leftovers) -> bool:
        context = RunContext(results=place / "results", cache=place / "cache")
        scratch = context.scratch(run)
        lay(scratch, left)
        context.environment_file(run).write_text(ENVIRONMENT.model_dump_json())
        with within_seconds(MOST_SECONDS):
            job = Job("evaluate", run, context, FAILURE)
            evaluate_run(job, lambda done, total: None, OpenedSets(), log=lambda: None)
        record = read_record(context.folder(run))
        assert (record.status, record.reason) == FAILURE
        assert {path.name for path in context.folder(run).iterdir()} <= {RESULT, LOG, WEIGHTS, OUTCOME}
        _check_words(record)
        _check_log(context.folder(run) / LOG)
        assert nothing_outside_changed(scratch)
        shutil.rmtree(place / "results")
        return record.budget != Budget()

    damages = {OUTCOME: outcomes(), TALLY: outcomes(), LOG: logs(), WEIGHTS: st.binary(max_size=20)}
    return Property("killed", leftovers({TALLY: _json(WHOLE), LOG: b"epoch 1\n"}, damages), holds, heavy=True)


def _forgotten(place: Path) -> Property:
    """Return that a scratch folder is as it was, or gone."""

    def holds(left: Leftovers) -> bool:
        scratch = place / "scratch"
        lay(scratch, left)
        names = sorted(scratch.iterdir())
        with within_seconds(MOST_SECONDS):
            forget_failure(scratch)
        kept = scratch.exists()
        assert not kept or sorted(scratch.iterdir()) == names
        assert nothing_outside_changed(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        return kept

    return Property("forgotten", leftovers(LEFT_IN_ORDER, {OUTCOME: outcomes()}), holds)
