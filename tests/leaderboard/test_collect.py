"""What the repository keeps of official records: all that scoring reads, and nothing that weighs."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.leaderboard.publish import SCORES
from kdbench.records import find_records, read_predictions, read_record
from kdbench.records.integrity import check_record
from kdbench.records.verification import VERIFICATION, read_verification, write_verification
from kdbench.resources import shipped
from kdbench.scoring.board import score, write_scores
from kdbench.testsets.spec import load_spec
from leaderboard.collect import collect
from tests.examples import a_verification, unsealed
from tests.record_factory import write_matrix

OFFICIAL = shipped("leaderboard", "results")


def test_copies_score_as_the_records_do_and_weigh_less(tmp_path: Path) -> None:
    full, kept = tmp_path / "runs", tmp_path / "kept"
    write_matrix(full, directions=("cnn-to-vit",), seeds=range(3), controls=("label-smoothing",))
    assert collect(full, kept) == len(find_records(full))
    assert score(kept, load_spec()) == score(full, load_spec())
    for folder in find_records(full):
        copy = kept / folder.relative_to(full)
        assert unsealed(read_record(copy)) == unsealed(read_record(folder))
        assert check_record(copy) == []
        before, after = read_predictions(folder), read_predictions(copy)
        assert all(np.array_equal(before[name].label, after[name].label) for name in before)
        assert np.isnan(after["noise"].confidence).all()


def test_unofficial_records_are_not_collected(tmp_path: Path) -> None:
    write_matrix(tmp_path / "runs", unofficial=("--epochs 1",))
    write_matrix(tmp_path / "runs", methods=("crd",), directions=("cnn-to-vit",), seeds=(1,))
    collect(tmp_path / "runs", tmp_path / "kept")
    assert {read_record(folder).seed for folder in find_records(tmp_path / "kept")} == {1}


def test_a_verification_goes_along_with_its_record_alone(tmp_path: Path) -> None:
    first, second, *_ = write_matrix(tmp_path / "runs", directions=("cnn-to-vit",))
    verification = a_verification(read_record(first), read_predictions(first))
    for folder in (first, second):
        write_verification(folder, verification)
    collect(tmp_path / "runs", tmp_path / "kept")
    copy, other = (tmp_path / "kept" / folder.relative_to(tmp_path / "runs") for folder in (first, second))
    kept = read_verification(copy, read_record(copy))
    assert kept is not None
    assert kept.model_copy(update={"of": verification.of}) == verification
    assert kept.of != verification.of
    assert not (other / VERIFICATION).exists()


@pytest.mark.slow
@pytest.mark.skipif(not (OFFICIAL / SCORES).exists(), reason="there are no official records of this version yet")
def test_the_official_scores_follow_from_the_committed_records_to_the_byte(tmp_path: Path) -> None:
    write_scores(score(OFFICIAL, load_spec()), tmp_path / SCORES)
    assert (tmp_path / SCORES).read_bytes() == (OFFICIAL / SCORES).read_bytes()
