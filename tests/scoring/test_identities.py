"""Transfer of whole boards where the answer is known by construction, whatever the numbers are."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.records import Record, find_records, read_predictions, read_record
from kdbench.scoring.board import score
from kdbench.scoring.context import BoardContext, ScoredRun
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.measured import measure
from kdbench.scoring.resampling import Resampler
from kdbench.scoring.rows import board_rows
from kdbench.scoring.scores import DoseResponse, Row
from kdbench.spec import BIAS_AXES, QUESTIONS, Axis, Question
from tests.record_factory import TEACHERS, record_of, write_again, write_matrix
from tests.scoring.boards import SPEC, board_of, estimated, rows_of

TRACK = SPEC.tracks["synthetic"]
Change = Callable[[ScoredRun], Mapping[Axis, float]]


def written(results: Path, question: Question, seeds: int, spread: float = 0.02) -> list[Path]:
    """Write `lm` and its controls in one direction of a question."""
    controls = ("label-smoothing",)
    return write_matrix(
        results, directions=("cnn-to-vit",), seeds=range(seeds), controls=controls, spread=spread, question=question
    )


def given_answers_of(folders: Iterable[Path], source: Callable[[Record], Path]) -> None:
    """Give every student of `lm` the answers, and the digest of the weights, of another run."""
    for folder in list(record_of(list(folders), method="lm")):
        record, other = read_record(folder), source(read_record(folder))
        digests = record.digests.model_copy(update={"weights": read_record(other).digests.weights})
        write_again(folder.parents[1], record.model_copy(update={"digests": digests}), read_predictions(other))


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("alone", ["independent", "label-smoothing"])
def test_a_method_that_does_not_look_at_its_teacher_has_a_transfer_of_zero(
    tmp_path: Path, question: Question, alone: str
) -> None:
    """Its two students of a seed differ in nothing, so they are the same network."""
    folders = written(tmp_path, question, seeds=3)
    given_answers_of(folders, lambda record: next(record_of(folders, method=alone, seed=record.seed)))
    transfer = estimated(rows_of(board_of(tmp_path))["lm"].transfer)
    assert (transfer.low, transfer.value, transfer.high) == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("question", QUESTIONS)
def test_students_with_the_answers_of_their_teachers_have_a_transfer_of_one(tmp_path: Path, question: Question) -> None:
    folders = written(tmp_path, question, seeds=3)
    teachers = {read_record(folder).run_id: folder for folder in record_of(folders, role="teacher")}
    given_answers_of(folders, lambda record: teachers[record.teacher_run_id or ""])
    transfer = estimated(rows_of(board_of(tmp_path))["lm"].transfer)
    assert (transfer.low, transfer.value, transfer.high) == pytest.approx((1, 1, 1), abs=1e-5)


def loaded(results: Path) -> list[ScoredRun]:
    resampler = Resampler(100)
    return [ScoredRun(f, read_record(f), measure(read_predictions(f), TRACK, resampler)) for f in find_records(results)]


def lm_of(runs: list[ScoredRun], question: Question) -> Row:
    """Return the row of `lm` on the board of some runs."""
    rows = board_rows(runs, BoardContext.of(runs, (question, "cnn-to-vit"), TRACK, SPEC.scoring))
    return next(row for row in rows if row.method == "lm")


def shifted(run: ScoredRun, by_axis: Mapping[Axis, float]) -> ScoredRun:
    """Return a run with something added to its c on each axis."""
    assert run.measured is not None
    axes = {axis: replace(on, bias=on.bias + by_axis.get(axis, 0.0)) for axis, on in run.measured.axes.items()}
    return replace(run, measured=replace(run.measured, axes=axes))


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_both_students_share_cancels(tmp_path: Path, question: Question) -> None:
    """Added to every student's c: what its family brings, or another training, or a general damage."""
    written(tmp_path, question, seeds=3)
    runs = loaded(tmp_path)
    effect: Mapping[Axis, float] = {"locality": 0.3, "noise": 0.2, "shape": -0.13}
    changed = [shifted(run, effect) if run.record.method == "lm" else run for run in runs]
    before, after = lm_of(runs, question), lm_of(changed, question)
    assert after.arms[0].profile != before.arms[0].profile
    expected = estimated(before.transfer)
    assert [estimated(after.transfer).value, estimated(after.transfer).low] == pytest.approx(
        [expected.value, expected.low], abs=2e-6
    )


def with_doses(runs: list[ScoredRun], *, pupils: bool, share: float = 0.5) -> list[ScoredRun]:
    """Return the runs with teachers as far apart as the doses of their seed say, and with or without such pupils.

    The students of `lm` lie at `share` of the distance of teachers with the doses 1 and 0.
    """
    shape, texture = (TEACHERS["cnn", bias].bias for bias in ("shape", "texture"))
    assert TRACK.planted is not None
    changed = []
    for run in runs:
        high, low = TRACK.planted.of_seed(run.record.seed)
        sign = {"shape": -0.5, "texture": 0.5}.get(run.record.teacher_bias or "", 0.0)
        follows = {"teacher": 1.0, "lm": share if pupils else 0.0}.get(run.record.method, 0.0)
        change = sign * follows * (1 - (high - low))
        changed.append(shifted(run, {axis: change * (shape[axis] - texture[axis]) for axis in BIAS_AXES}))
    return changed


def test_students_that_follow_the_doses_keep_their_transfer_and_are_proportional(tmp_path: Path) -> None:
    written(tmp_path, "planted", seeds=5, spread=0.005)
    runs = loaded(tmp_path)
    full, dosed = (lm_of(some, "planted") for some in (runs, with_doses(runs, pupils=True)))
    assert estimated(dosed.transfer).value == pytest.approx(estimated(full.transfer).value, abs=0.02)
    assert isinstance(dosed.dose_response, DoseResponse)
    assert dosed.dose_response.proportional
    assert len({round(point.teachers, 1) for point in dosed.dose_response.points}) > 1


def test_a_probe_whose_students_swing_alike_at_all_doses_is_not_proportional(tmp_path: Path) -> None:
    written(tmp_path, "planted", seeds=5, spread=0.005)
    row = lm_of(with_doses(loaded(tmp_path), pupils=False), "planted")
    assert isinstance(row.dose_response, DoseResponse)
    assert isinstance(row.transfer, Estimate)
    assert row.transfer.value > 0.5
    assert row.dose_response.residual_spread > 2 * row.dose_response.seed_spread
    assert not row.dose_response.proportional


def test_scores_of_both_questions_need_no_word_for_a_single_seed(tmp_path: Path) -> None:
    for question in QUESTIONS:
        written(tmp_path, question, seeds=1)
    rows = [row for board in score(tmp_path, SPEC).boards for row in board.rows if row.transfer is not None]
    assert len(rows) == 2
    assert all(isinstance(row.transfer, Estimate) and row.transfer.covers == "images" for row in rows)
    assert all((row.finding, row.beyond, row.rank) == (None, None, None) for row in rows)
