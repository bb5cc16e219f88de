"""Scores as a data frame: every number of `scores.json` with its interval, and where it belongs."""

import re
from pathlib import Path

import pandas as pd
import pytest

from kdbench.errors import InputError, RecordError
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.frames import SCORE_COLUMNS, SCORES_FILE, load_scores
from tests.record_factory import write_matrix
from tests.scoring.boards import SPEC, board_of, estimated, rows_of


def scored(results: Path, **options: object) -> pd.DataFrame:
    """Write a small matrix in one direction, score it, and load the scores."""
    write_matrix(results, directions=("cnn-to-vit",), **options)  # type: ignore[arg-type]
    write_scores(score(results, SPEC), results / SCORES_FILE)
    return load_scores(results)


def test_every_number_of_a_board_is_a_row_with_its_interval(tmp_path: Path) -> None:
    frame = scored(tmp_path, seeds=range(3))
    assert tuple(frame.columns) == SCORE_COLUMNS
    assert not frame.duplicated(["method", "family", "teacher_bias", "number", "axis"]).any()
    lm = rows_of(board_of(tmp_path))["lm"]
    (transfer,) = frame[(frame.method == "lm") & (frame.number == "transfer")].to_dict("records")
    expected = estimated(lm.transfer)
    assert [transfer[key] for key in ("value", "low", "high", "seeds", "images", "covers")] == [
        pytest.approx(expected.value, abs=1e-6),
        pytest.approx(expected.low, abs=1e-6),
        pytest.approx(expected.high, abs=1e-6),
        expected.seeds,
        expected.images,
        expected.covers,
    ]


def test_numbers_of_an_axis_name_the_axis_and_conflict_shares_do_not(tmp_path: Path) -> None:
    frame = scored(tmp_path)
    bias = frame[(frame.method == "lm") & (frame.number == "profile.axes.bias") & (frame.teacher_bias == "shape")]
    profile = rows_of(board_of(tmp_path))["lm"].arms[0].profile
    assert profile is not None
    assert set(bias.axis) == set(profile.axes)
    assert frame[frame.number == "profile.conflict.shape"].axis.isna().all()


def test_an_undefined_number_has_its_reason_and_no_value(tmp_path: Path) -> None:
    frame = scored(tmp_path, clean={"lm": 0.1})
    (transfer,) = frame[(frame.method == "lm") & (frame.number == "transfer")].to_dict("records")
    assert transfer["undefined"].startswith("student of the shape teacher: too near chance")
    assert pd.isna(transfer["value"])
    assert pd.isna(transfer["seeds"])


@pytest.mark.parametrize("track", ["synthetic", "cifar10-32"])
def test_p_values_belong_to_transfer_and_its_parts(tmp_path: Path, track: str) -> None:
    options = {"track": track, "seeds": range(5), "spread": 0.004, "images": 500, "directions": ("cnn-to-vit",)}
    write_matrix(tmp_path, **options)  # type: ignore[arg-type]
    write_scores(score(tmp_path, SPEC), tmp_path / SCORES_FILE)
    frame, row = load_scores(tmp_path), rows_of(board_of(tmp_path))["lm"]
    tested = frame[frame.p_value.notna()]
    whole, by_axis = tested[tested.axis.isna()], tested[tested.axis.notna()]
    assert list(whole.number) == ["transfer"]
    assert whole.p_value.to_list() == [row.p_value]
    assert dict(zip(by_axis.axis, by_axis.p_value, strict=True)) == row.p_by_axis


def test_a_folder_without_scores_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"`kdbench score {tmp_path}` computes them"):
        load_scores(tmp_path)


def test_a_damaged_file_of_scores_is_refused(tmp_path: Path) -> None:
    (tmp_path / SCORES_FILE).write_text("{}")
    with pytest.raises(RecordError, match="is not a file of scores: key spec_version is missing"):
        load_scores(tmp_path)


def test_scores_with_a_count_that_no_table_can_hold_are_refused(tmp_path: Path) -> None:
    scored(tmp_path)
    text = (tmp_path / SCORES_FILE).read_text()
    (tmp_path / SCORES_FILE).write_text(re.sub(r'"images": ?\d+', f'"images": {2**63}', text, count=1))
    with pytest.raises(RecordError, match="less than 9223372036854775808"):
        load_scores(tmp_path)


def test_scores_of_both_kinds_are_told_apart_by_the_value_alone(tmp_path: Path) -> None:
    frame = scored(tmp_path, clean={"lm": 0.1})
    row = rows_of(board_of(tmp_path))["lm"]
    assert isinstance(row.transfer, Undefined)
    assert not isinstance(row.transfer, Estimate)
    assert (frame.value.isna() == (frame.undefined != "")).all()
