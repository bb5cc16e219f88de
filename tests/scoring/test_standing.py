"""Ranks, tests and findings of a board, from records."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from kdbench.records import read_predictions, read_record
from kdbench.scoring.estimates import Range, Undefined
from kdbench.scoring.findings import finding_words
from kdbench.scoring.scores import Board
from tests.record_factory import record_of, write_again, write_matrix
from tests.scoring.boards import SPEC, board_of, estimated, rows_of

write_planted = partial(write_matrix, directions=("cnn-to-vit",), seeds=range(5))
write_natural = partial(write_planted, track="cifar10-32", images=500)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Two methods that differ clearly, one like the better one, one that transfers nothing; controls."""
    results = tmp_path_factory.mktemp("planted")
    write_planted(
        results,
        methods=("best", "equal", "weak", "none"),
        transfer={"best": 0.6, "equal": 0.6, "weak": 0.3, "none": 0.0},
        spread=0.01,
        controls=("random-teacher", "label-smoothing"),
    )
    return board_of(results)


def test_methods_that_seeds_do_not_tell_apart_share_a_rank(planted: Board) -> None:
    rows = rows_of(planted)
    ranks = {name: (rows[name].rank, rows[name].rank_high) for name in ("best", "equal", "weak", "none")}
    assert ranks == {"best": (1, 2), "equal": (1, 2), "weak": (3, 3), "none": (4, 4)}


def test_transfer_above_the_smallest_effect_is_called_transfer_and_none_is_not(planted: Board) -> None:
    rows = rows_of(planted)
    assert rows["weak"].finding == "transfers"
    assert rows["none"].finding in ("none shown", "none larger")
    assert finding_words(rows["weak"], planted) == ("transfers",)
    assert planted.tests == 4
    p_values = [row.p_value for row in planted.rows if row.p_value is not None]
    assert len(p_values) == 4
    assert all(0 <= p <= 1 for p in p_values)


def test_controls_are_shown_beside_the_methods_but_neither_ranked_nor_tested(planted: Board) -> None:
    controls = {row.method: row for row in planted.rows if row.kind == "control"}
    assert set(controls) == {"random-teacher", "label-smoothing", "untrained"}
    standing = [(row.rank, row.p_value, row.finding, row.unranked) for row in controls.values()]
    assert standing == [(None, None, None, "")] * 3
    assert [row.kind for row in planted.rows] == ["teacher", "independent", *["method"] * 4, *["control"] * 3]


def test_a_random_teacher_s_students_are_measured_by_the_trained_teachers_difference(planted: Board) -> None:
    """Their own teachers do not differ; tau would be undefined."""
    tau = estimated(rows_of(planted)["random-teacher"].transfer)
    assert tau.low < 0 < tau.high
    assert planted.null_band == Range(low=tau.low, high=tau.high)


def test_no_null_band_is_made_of_intervals_that_cover_images_only(tmp_path: Path) -> None:
    write_planted(tmp_path, seeds=range(2), controls=("random-teacher",))
    board = board_of(tmp_path)
    assert estimated(rows_of(board)["random-teacher"].transfer).covers == "images"
    assert board.null_band is None


def test_a_control_without_a_teacher_has_no_transfer(planted: Board) -> None:
    row = rows_of(planted)["label-smoothing"]
    assert (row.transfer, row.arms[0].movement) == (None, None)


def test_random_teachers_are_not_among_the_pinned_ones(planted: Board) -> None:
    teachers = [row for row in planted.rows if row.kind == "teacher"]
    assert [row.method for row in teachers] == ["teacher"]
    assert [arm.seeds for arm in teachers[0].arms] == [tuple(range(5))] * 2


def test_the_multi_bootstrap_stands_beside_the_interval(planted: Board) -> None:
    row = rows_of(planted)["best"]
    assert row.cross_check is not None
    assert row.cross_check.low < estimated(row.transfer).value < row.cross_check.high


def test_ranked_rows_come_first_then_the_others_by_their_number(tmp_path: Path) -> None:
    write_planted(
        tmp_path,
        methods=("far", "near", "weak"),
        transfer={"far": 0.9, "near": 0.6, "weak": 0.2},
        clean={"far": 0.7},
        spread=0.01,
    )
    board = board_of(tmp_path)
    assert [row.method for row in board.rows if row.kind == "method"] == ["near", "weak", "far"]
    assert rows_of(board)["far"].unranked.startswith("not competent")
    assert board.tests == 3  # a row that cannot be tested is no gift to the others


def test_a_row_with_fewer_seeds_than_a_rank_needs_enters_no_family_of_tests(tmp_path: Path) -> None:
    write_planted(tmp_path, methods=("far", "near"), transfer={"far": 0.4, "near": 0.3}, spread=0.01)
    alone = board_of(tmp_path)
    write_planted(tmp_path, methods=("trial",), transfer={"trial": 0.5}, spread=0.01, seeds=range(4))
    board = board_of(tmp_path)
    assert rows_of(board)["trial"].unranked == "5 scored seeds are needed for a rank, the row has 4"
    assert (alone.tests, board.tests) == (2, 2)
    for name in ("far", "near"):
        assert rows_of(board)[name] == rows_of(alone)[name]


def test_a_row_whose_seed_failed_stays_in_the_family_of_tests(tmp_path: Path) -> None:
    write_planted(tmp_path, methods=("lm", "crd"), spread=0.01, failed={("crd", 3): ("diverged", "")})
    board = board_of(tmp_path)
    assert rows_of(board)["crd"].unranked
    assert board.tests == 2


def test_axes_are_tested_one_by_one_for_all_ranked_rows_together(planted: Board) -> None:
    best = rows_of(planted)["best"]
    assert set(best.p_by_axis) == set(best.transfer_by_axis)
    assert all(p < 0.05 for p in best.p_by_axis.values())
    assert rows_of(planted)["random-teacher"].p_by_axis == {}


def test_a_seed_whose_teacher_failed_does_not_count_for_a_rank(tmp_path: Path) -> None:
    write_planted(tmp_path, methods=("lm",), spread=0.01, failed={("teacher", 3): ("timeout", "")})
    row = rows_of(board_of(tmp_path))["lm"]
    assert (row.rank, estimated(row.transfer).seeds) == (None, 4)
    assert row.unranked == (
        "5 scored seeds are needed for a rank, the row has 4; "
        "the runs that seed 3 would be compared with were not scored"
    )


def test_unofficial_independents_are_no_reference_where_there_are_official_ones(tmp_path: Path) -> None:
    folders = write_planted(tmp_path, methods=("lm",), spread=0.01)
    before = rows_of(board_of(tmp_path))["lm"]
    for seed in range(5):
        folder = next(record_of(folders, method="independent", seed=seed))
        record = read_record(folder).model_copy(update={"limit_train": 500, "unofficial": ("--limit-train 500",)})
        wrong = {name: replace(part, label=(part.target + 1) % 10) for name, part in read_predictions(folder).items()}
        write_again(tmp_path, record, wrong)
    board = board_of(tmp_path)
    assert rows_of(board)["lm"] == before
    assert [bool(row.unofficial) for row in board.rows if row.kind == "independent"].count(True) == 1


def test_a_row_on_other_seeds_than_the_ranked_ones_says_so(tmp_path: Path) -> None:
    write_planted(tmp_path, methods=("a", "b"), spread=0.01)
    write_matrix(tmp_path, directions=("cnn-to-vit",), seeds=range(5, 10), methods=("late",), spread=0.01)
    late = rows_of(board_of(tmp_path))["late"]
    assert late.rank is None
    assert late.unranked == "the row lacks some of the seeds 0, 1, 2, 3, 4, which all ranked rows share"
    assert {row.rank for row in board_of(tmp_path).rows if row.method in "ab"} == {1}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_real_images_are_ranked_by_the_alpha_that_was_put_in(tmp_path: Path, share: float) -> None:
    write_natural(tmp_path, transfer=share, spread=0.004)
    board = board_of(tmp_path)
    row = rows_of(board)["lm"]
    alpha = estimated(row.transfer)
    assert (board.track, board.question) == ("cifar10-32", "architecture")
    assert alpha.value == pytest.approx(share, abs=0.05)
    assert alpha.low < share < alpha.high
    assert (row.rank, row.dose_response) == (1, None)
    assert (row.finding == "transfers") == (share > 0)


def test_a_method_without_alpha_is_compared_with_the_way_that_controls_move(tmp_path: Path) -> None:
    shares = {"lm": 0.5, "lm-shuffled": 0.0}
    controls = ("random-teacher", "label-smoothing")
    folders = write_natural(tmp_path, spread=0.004, transfer=shares, controls=controls, frontier=("lm-shuffled",))
    for folder in record_of(folders, method="lm", direction="vit-to-vit"):
        shutil.rmtree(folder)
    board = board_of(tmp_path)
    rows = rows_of(board)
    assert isinstance(rows["lm"].transfer, Undefined)
    indices = [
        estimated(arm.movement.transfer_index)
        for name in SPEC.scoring.null_controls["architecture"]
        for arm in rows[name].arms
        if arm.movement and arm.teacher_family != "vit"
    ]
    assert len(indices) == 2
    assert board.index_band == Range(low=min(part.low for part in indices), high=max(part.high for part in indices))
    assert board.index_band.low < 0 < board.index_band.high


def test_a_board_of_planted_teachers_has_no_band_of_the_transfer_index(planted: Board) -> None:
    assert planted.index_band is None


def test_three_seeds_have_a_transfer_but_no_rank_and_one_has_an_interval_of_images(tmp_path: Path) -> None:
    write_natural(tmp_path / "three", seeds=range(3))
    write_natural(tmp_path / "one", seeds=range(1))
    three, single = (rows_of(board_of(tmp_path / name))["lm"] for name in ("three", "one"))
    assert (estimated(three.transfer).covers, three.rank) == ("seeds and images", None)
    assert three.unranked == "5 scored seeds are needed for a rank, the row has 3"
    assert (estimated(single.transfer).covers, single.rank) == ("images", None)
    assert "5 scored seeds are needed for a rank, the row has 1" in single.unranked


def test_gap_against_each_planted_teacher_is_shown_beside_transfer(planted: Board) -> None:
    for arm in rows_of(planted)["best"].arms:
        assert arm.movement is not None
        assert estimated(arm.movement.transfer_index).value > 0
        assert estimated(arm.movement.clean_gain).value == pytest.approx(0, abs=0.02)
