"""What a training leaves is taken in as if an adversary had left it."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdbench.errors import MOST_REASON, plain_text
from kdbench.jobs.intake import MOST_LOG_BYTES, MOST_OUTCOME_BYTES, counted, take_in
from kdbench.networks.models import new_backbone, read_weights, write_tensors
from kdbench.plan.matrix import Control, PlannedRun
from kdbench.records import LOG, WEIGHTS
from kdbench.training.outcome import OUTCOME, TALLY, Tally, TrainingOutcome, ended_training, write_outcome
from kdbench.training.snapshots import snapshot_path
from tests.planned_runs import expanded

Change = Callable[[Path], object]
RUN = expanded()[0]


def good_state(run: PlannedRun = RUN) -> dict[str, torch.Tensor]:
    return dict(new_backbone(run.track, run.family, seed=1, pretrained=False).model.state_dict())


def left(folder: Path, **changes: object) -> Path:
    """Return a scratch folder with what an honest training leaves; `changes` are of its outcome."""
    scratch = folder / "scratch"
    digest = write_tensors(scratch / WEIGHTS, good_state())
    write_outcome(scratch, TrainingOutcome(status="ok", weights=digest).model_copy(update=changes))
    return scratch


def taken(scratch: Path) -> TrainingOutcome:
    outcome = take_in(scratch, scratch.parent / "record", RUN, None)
    assert outcome is not None
    assert not scratch.exists()
    return outcome


def test_what_an_honest_training_left_is_kept(tmp_path: Path) -> None:
    outcome = taken(left(tmp_path))
    assert outcome.status == "ok"
    assert outcome.weights
    kept = read_weights(tmp_path / "record" / WEIGHTS, outcome.weights)
    assert all(torch.equal(kept[name], tensor) for name, tensor in good_state().items())


def test_nothing_is_left_by_a_training_that_was_killed_at_once(tmp_path: Path) -> None:
    assert take_in(tmp_path / "scratch", tmp_path / "record", RUN, None) is None


def test_a_kill_while_the_scratch_folder_is_removed_loses_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, record = left(tmp_path), tmp_path / "record"

    def cut_short(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("kdbench.jobs.intake.remove", cut_short)
    with pytest.raises(KeyboardInterrupt):
        take_in(scratch, record, RUN, None)
    monkeypatch.undo()
    assert take_in(scratch, record, RUN, None) is None
    outcome = ended_training(record)
    assert outcome is not None
    assert outcome.status == "ok"
    assert not scratch.exists()


def test_a_digest_is_computed_and_not_believed(tmp_path: Path) -> None:
    assert taken(left(tmp_path, weights="0" * 64)).weights not in (None, "0" * 64)


def test_a_run_that_is_ok_has_no_reason(tmp_path: Path) -> None:
    assert taken(left(tmp_path, reason="fine")).reason == ""


def test_weights_that_are_not_finite_have_diverged(tmp_path: Path) -> None:
    scratch, state = left(tmp_path), good_state()
    name = next(name for name, tensor in state.items() if tensor.is_floating_point())
    write_tensors(scratch / WEIGHTS, state | {name: torch.full_like(state[name], float("nan"))})
    assert (taken(scratch).status, (tmp_path / "record" / WEIGHTS).exists()) == ("diverged", False)


def replaced_by(make: Change, name: str) -> Change:
    def replace(scratch: Path) -> None:
        (scratch / name).unlink()
        make(scratch / name)

    return replace


def renamed_tensor(scratch: Path) -> None:
    state = good_state()
    state["other"] = state.popitem()[1]
    write_tensors(scratch / WEIGHTS, state)


def other_type(scratch: Path) -> None:
    write_tensors(scratch / WEIGHTS, {name: tensor.double() for name, tensor in good_state().items()})


CHANGES: dict[str, Change] = {
    "no weights": lambda scratch: (scratch / WEIGHTS).unlink(),
    "garbage as weights": lambda scratch: (scratch / WEIGHTS).write_bytes(b"garbage" * 100),
    "other tensors": renamed_tensor,
    "another type": other_type,
    "a link as weights": replaced_by(lambda path: path.symlink_to("/etc/hostname"), WEIGHTS),
    "a second name of weights": lambda scratch: os.link(scratch / WEIGHTS, scratch.parent / "second"),
    "a pipe as weights": replaced_by(os.mkfifo, WEIGHTS),
    "a folder as weights": replaced_by(Path.mkdir, WEIGHTS),
    "huge weights": lambda scratch: os.truncate(scratch / WEIGHTS, 2**36),
    "garbage as outcome": lambda scratch: (scratch / OUTCOME).write_bytes(b"\xff\x00{"),
    "a deep outcome": lambda scratch: (scratch / OUTCOME).write_text("[" * 10**6),
    "a huge outcome": lambda scratch: os.truncate(scratch / OUTCOME, MOST_OUTCOME_BYTES + 1),
    "an outcome with a strange key": lambda scratch: (scratch / OUTCOME).write_text('{"status": "ok", "rank": 1}'),
    "a count below zero": lambda scratch: (scratch / OUTCOME).write_text('{"status": "ok", "budget": {"steps": -1}}'),
    "a count beyond all": lambda scratch: (scratch / OUTCOME).write_text('{"status": "ok", "parameters": 1e30}'),
    "a curve of no number": lambda scratch: (scratch / OUTCOME).write_text('{"status": "ok", "curves": [{"a": NaN}]}'),
    "a pipe as outcome": replaced_by(os.mkfifo, OUTCOME),
    "a link as outcome": replaced_by(lambda path: path.symlink_to(path), OUTCOME),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_what_does_not_fit_is_an_error_of_the_run(tmp_path: Path, change: Change) -> None:
    scratch = left(tmp_path)
    change(scratch)
    outcome = taken(scratch)
    assert outcome.status == "error"
    assert outcome.reason.startswith("the training ")
    assert not (tmp_path / "record" / WEIGHTS).exists()


def test_reasons_and_names_are_cut_and_cleaned(tmp_path: Path) -> None:
    reason, curves = "\x1b[31mred\x00\n" + "x" * 10**5, ({"\x1b[31mloss\n": 1.0},)
    outcome = taken(left(tmp_path, status="error", reason=reason, curves=curves))
    assert outcome.reason.startswith("[31mred")
    assert len(outcome.reason) <= MOST_REASON + 3
    assert outcome.curves == ({"[31mloss": 1.0},)


def test_what_a_killed_training_says_that_it_counted_is_cleaned(tmp_path: Path) -> None:
    write_outcome(tmp_path, TrainingOutcome(status="error", curves=({"\x1b[31mloss\n": 1.0},)), TALLY)
    assert counted(tmp_path, RUN).failed("timeout", "").curves == ({"[31mloss": 1.0},)


@pytest.mark.parametrize(
    "lie", ['"budget": {"steps": -1}', '"curves": [{"a": NaN}]', '"curves": [{}, {}, {}, {}, {}, {}]']
)
def test_a_killed_training_that_lies_has_counted_nothing(lie: str, tmp_path: Path) -> None:
    (tmp_path / TALLY).write_text(f'{{"status": "error", {lie}}}')
    assert counted(tmp_path, RUN) == Tally()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 400])
def test_curves_that_no_record_can_hold_are_an_error_of_the_run(tmp_path: Path, number: str) -> None:
    scratch = left(tmp_path)
    (scratch / OUTCOME).write_text(f'{{"status": "ok", "curves": [{{"loss": {number}}}]}}')
    assert taken(scratch).reason == "the training left training.json, which is not an outcome"


@pytest.mark.parametrize(("second", "status"), [(b"", "error"), (None, "error"), (math.nan, "diverged")])
def test_weights_are_not_kept_without_the_snapshots(tmp_path: Path, second: bytes | float | None, status: str) -> None:
    run = replace(RUN, submission=replace(RUN.submission, control=Control(snapshots=2)))
    scratch, state = left(tmp_path), good_state()
    write_tensors(snapshot_path(scratch, 1), state)
    if isinstance(second, bytes):
        snapshot_path(scratch, 2).write_bytes(second)
    elif second is not None:
        name = next(iter(state))
        write_tensors(snapshot_path(scratch, 2), state | {name: torch.full_like(state[name], second)})
    outcome = take_in(scratch, tmp_path / "record", run, None)
    assert outcome is not None
    assert outcome.status == status
    assert [path.name for path in (tmp_path / "record").iterdir()] == [OUTCOME]


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    kept = left(tmp_path)
    (tmp_path / "link").symlink_to(kept)
    assert take_in(tmp_path / "link", tmp_path / "record", RUN, None) is None
    assert not (tmp_path / "link").is_symlink()
    assert (kept / OUTCOME).exists()


def test_a_log_that_is_another_file_too_is_not_kept(tmp_path: Path) -> None:
    scratch = left(tmp_path)
    (tmp_path / "other").write_text("a secret")
    os.link(tmp_path / "other", scratch / LOG)
    taken(scratch)
    assert not (tmp_path / "record" / LOG).exists()


def test_a_log_keeps_its_end_without_control_characters(tmp_path: Path) -> None:
    scratch = left(tmp_path)
    (scratch / LOG).write_bytes(b"\x1b[2Jfirst\n" + b"x" * 80 + b"\n" * MOST_LOG_BYTES + b"\x1b]0;title\x07last\n\xff")
    taken(scratch)
    log = (tmp_path / "record" / LOG).read_text()
    assert "first" not in log
    assert "]0;titlelast" in log
    assert "\x1b" not in log
    assert len(log) < MOST_LOG_BYTES + 100


def test_text_is_shown_on_one_line() -> None:
    assert plain_text("a\nb\x00\x1b\u202ec  d") == "a bc d"
