"""Boards from records: what is compared with what, who is ranked, and what is said when not."""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from kdbench.records import RESULT, Record, find_records, read_predictions, read_record
from kdbench.scoring.board import score, write_scores
from kdbench.scoring.estimates import Estimate, Undefined
from kdbench.scoring.scores import Board, BoardScale, Row, Scores
from tests.record_factory import PARAMETERS, record_of, write_again, write_matrix
from tests.scoring.boards import SPEC

TRACK = SPEC.tracks["synthetic"]


write_one_direction = partial(write_matrix, directions=("cnn-to-vit",))


def boards_of(results: Path) -> Mapping[str, Board]:
    boards = score(results, SPEC).boards
    assert len({board.direction for board in boards}) == len(boards)
    return {board.direction: board for board in boards}


def row_of(board: Board, method: str) -> Row:
    (row,) = (row for row in board.rows if row.method == method)
    return row


def lm(results: Path) -> Row:
    return row_of(boards_of(results)["cnn-to-vit"], "lm")


def tau(row: Row) -> Estimate:
    assert isinstance(row.transfer, Estimate), row.transfer
    return row.transfer


def test_a_board_has_its_teachers_its_independent_and_its_methods(tmp_path: Path) -> None:
    write_matrix(tmp_path, methods=("lm", "crd"), transfer={"lm": 0.4, "crd": 0.7})
    boards = boards_of(tmp_path)
    assert list(boards) == ["cnn-to-vit", "vit-to-cnn"]
    for direction, board in boards.items():
        teacher, student = direction.split("-to-")
        assert [(row.kind, row.method, row.family) for row in board.rows] == [
            ("teacher", "teacher", teacher),
            ("independent", "independent", student),
            ("method", "crd", student),
            ("method", "lm", student),
        ]
        assert [[arm.teacher_bias for arm in row.arms] for row in board.rows] == [
            ["shape", "texture"],
            [None],
            ["shape", "texture"],
            ["shape", "texture"],
        ]


def test_feature_gains_are_over_what_independent_shares_with_the_teacher(
    tmp_path: Path,
) -> None:
    write_one_direction(tmp_path, seeds=range(3), scalars={"cka_to_shape": 0.6, "cka_to_texture": 0.4})
    for arm, likeness in zip(lm(tmp_path).arms, (0.6, 0.4), strict=True):
        assert arm.diagnostics is not None
        cka, gain = arm.diagnostics.scalars["cka"], arm.diagnostics.scalar_gains["cka"]
        assert isinstance(cka, Estimate)
        assert isinstance(gain, Estimate)
        assert (cka.value, gain.value) == (likeness, 0.0)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_the_transfer_that_was_put_in_comes_out(tmp_path: Path, seeds: int) -> None:
    write_matrix(tmp_path, seeds=range(seeds), images=None, transfer=0.45, spread=0.005)
    for board in boards_of(tmp_path).values():
        row = row_of(board, "lm")
        assert tau(row).value == pytest.approx(0.45, abs=0.02)
        assert tau(row).low < 0.45 < tau(row).high
        assert (tau(row).seeds, board.seeds) == (seeds, tuple(range(seeds)))
        assert tau(row).covers == ("images" if seeds < 3 else "seeds and images")


def test_profiles_hold_the_accuracies_that_were_put_in(tmp_path: Path) -> None:
    write_one_direction(tmp_path, images=None, spread=0)
    profile = row_of(boards_of(tmp_path)["cnn-to-vit"], "teacher").arms[0].profile
    assert profile is not None
    assert isinstance(profile.clean, Estimate)
    assert (profile.clean.value, profile.clean.images) == (0.98, 1000)
    biases = [profile.axes[axis].bias for axis in ("texture", "shape", "locality", "scramble", "noise")]
    assert [b.value for b in biases if isinstance(b, Estimate)] == pytest.approx(
        [0.12, 0.95, 0.14, 0.09, 0.75], abs=1e-3
    )


def test_fewer_than_five_seeds_are_not_ranked(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(3))
    assert (lm(tmp_path).rank, lm(tmp_path).unranked) == (None, "5 scored seeds are needed for a rank, the row has 3")


def test_five_good_seeds_have_a_rank(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(5))
    assert (lm(tmp_path).rank, lm(tmp_path).rank_high, lm(tmp_path).unranked) == (1, 1, "")


def test_a_failed_seed_stays_on_the_board_and_keeps_the_row_from_a_rank(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(5), failed={("lm", 3): ("diverged", "loss is not finite at step 40")})
    row = lm(tmp_path)
    assert row.unranked == (
        "1 of 5 seeds failed: seed 3 diverged: loss is not finite at step 40; "
        "5 scored seeds are needed for a rank, the row has 4"
    )
    for arm in row.arms:
        assert arm.failed == ("seed 3 diverged: loss is not finite at step 40",)
        assert arm.seeds == (0, 1, 2, 4)
        assert len(arm.run_ids) == 5
    assert tau(row).seeds == 4


def test_a_method_of_which_every_run_failed_is_a_row_with_its_reason(tmp_path: Path) -> None:
    write_one_direction(tmp_path, failed={("lm", 0): ("oom", "killed at 4.0 GiB")})
    row = lm(tmp_path)
    assert row.transfer == Undefined(reason="no student of the shape teacher or the texture teacher was scored")
    assert row.unranked.startswith("1 of 1 seeds failed: seed 0 ran out of memory: killed at 4.0 GiB")
    assert all(arm.profile is None and arm.cost is None for arm in row.arms)


def test_a_seed_without_its_teachers_is_not_in_the_transfer(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(4), failed={("teacher", 2): ("timeout", "")})
    row = lm(tmp_path)
    assert tau(row).seeds == 3
    assert row.arms[0].seeds == (0, 1, 2, 3)
    teacher = row_of(boards_of(tmp_path)["cnn-to-vit"], "teacher")
    assert teacher.arms[0].failed == ("seed 2 ran out of time",)


def test_at_chance_student_is_not_ranked_and_has_no_transfer(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(5), clean={"lm": 0.1})
    row = lm(tmp_path)
    assert (
        "not competent: the student of the shape teacher has a clean accuracy of 0.100, the independent" in row.unranked
    )
    assert isinstance(row.transfer, Undefined)
    assert "student of the shape teacher: too near chance" in row.transfer.reason


def test_a_student_far_below_independent_is_not_ranked_though_it_has_a_transfer(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(5), clean={"lm": 0.8})
    row = lm(tmp_path)
    assert row.unranked.startswith("not competent")
    assert isinstance(row.transfer, Estimate)


def test_methods_are_sorted_by_transfer_and_undefined_ones_come_last(tmp_path: Path) -> None:
    write_matrix(tmp_path, methods=("a", "b", "c"), transfer={"a": 0.2, "b": 0.6, "c": 0.9}, clean={"c": 0.1})
    rows = boards_of(tmp_path)["vit-to-cnn"].rows
    assert [row.method for row in rows if row.kind == "method"] == ["b", "a", "c"]


def test_unofficial_runs_are_rows_of_their_own_below_the_official_ones(tmp_path: Path) -> None:
    write_one_direction(tmp_path / "good", transfer=0.3)
    write_one_direction(
        tmp_path / "other", methods=("crd",), transfer=0.9, unofficial=("--epochs 1", "--limit-test 100")
    )
    folders = find_records(tmp_path / "other")
    wanted = {record_folder.name for record_folder in record_of(folders, method="crd")}
    for folder in folders:
        if folder.name not in wanted:
            (folder / RESULT).unlink()
    board = next(b for b in score([tmp_path / "good", tmp_path / "other"], SPEC).boards if b.direction == "cnn-to-vit")
    assert [row.method for row in board.rows] == ["teacher", "independent", "lm", "crd"]
    crd = board.rows[-1]
    assert crd.unofficial == ("--epochs 1", "--limit-test 100")
    assert "unofficial: --epochs 1, --limit-test 100" in crd.unranked
    assert tau(crd).value == pytest.approx(0.9, abs=0.1)


def test_another_code_of_the_same_method_is_another_row(tmp_path: Path) -> None:
    folders = write_one_direction(tmp_path)
    for folder in record_of(folders, method="lm"):
        rewrite(folder, digests={"code": "f" * 64})
    rows = [row for row in boards_of(tmp_path)["cnn-to-vit"].rows if row.method == "lm"]
    assert len({row.code for row in rows}) == 2


def rewrite(folder: Path, *, digests: Mapping[str, str] | None = None, **changes: object) -> Path:
    """Write a record again, changed, into the folder that it then belongs into."""
    values = read_record(folder).model_dump()
    values["digests"] |= digests or {}
    return write_again(folder.parents[1], Record.model_validate(values | changes), read_predictions(folder))


def test_of_two_runs_of_the_same_seed_the_later_counts_and_the_other_is_told(tmp_path: Path) -> None:
    folders = write_one_direction(tmp_path)
    folder = next(record_of(folders, method="lm"))
    later = rewrite(folder, numerics=2, finished="2026-01-02T00:00:00+00:00")
    scores = score(tmp_path, SPEC)
    assert read_record(later).run_id in lm(tmp_path).arms[0].run_ids
    (old,) = scores.superseded
    assert old.records == (folder.name,)
    assert old.words == "1 older record was not scored: there is a later run of the same seed"


def test_other_devices_have_a_board_of_their_own(tmp_path: Path) -> None:
    write_one_direction(tmp_path)
    write_one_direction(tmp_path, device_class="cuda-bfloat16")
    assert [board.device_class for board in score(tmp_path, SPEC).boards] == ["cpu-float32", "cuda-bfloat16"]


def test_real_images_have_natural_teachers_of_both_families(tmp_path: Path) -> None:
    write_one_direction(tmp_path, track="cifar10-32", seeds=range(3))
    row = lm(tmp_path)
    assert [arm.teacher for arm in row.arms] == [("cnn", "natural"), ("vit", "natural")]
    assert tau(row).seeds == 3


def test_a_run_that_lies_in_two_folders_counts_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_one_direction(tmp_path / name)
    assert score([tmp_path / "one", tmp_path / "two"], SPEC) == score(tmp_path / "one", SPEC)


def test_runs_without_students_yet_show_their_teachers(tmp_path: Path) -> None:
    for folder in record_of(write_matrix(tmp_path), role="student"):
        (folder / RESULT).unlink()
    assert [[row.kind for row in board.rows] for board in boards_of(tmp_path).values()] == [["teacher"], ["teacher"]]


def test_a_method_without_independent_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    for folder in record_of(write_one_direction(tmp_path), method="independent"):
        (folder / RESULT).unlink()
    row = lm(tmp_path)
    assert "no independent student to compare with" in row.unranked
    assert row.arms[0].cost is not None
    assert row.arms[0].cost.relative_time is None


def test_costs_are_medians_and_relative_to_independent(tmp_path: Path) -> None:
    write_matrix(tmp_path, seeds=range(3))
    costs = {row.kind: row.arms[0].cost for row in boards_of(tmp_path)["vit-to-cnn"].rows}
    assert {kind: cost.relative_time if cost else 0 for kind, cost in costs.items()} == {
        "teacher": None,
        "independent": 1.0,
        "method": pytest.approx(1.4),
    }


def test_a_board_says_at_which_scale_its_numbers_hold(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(3), controls=("label-smoothing",))
    (board,) = score(tmp_path, SPEC).boards
    training, pairs = TRACK.training, TRACK.backbones.pairs
    assert board.scale == BoardScale(
        epochs=training.student_epochs,
        updates=training.student_epochs * (TRACK.data.num_train // training.batch_size),
        images=TRACK.data.num_train,
        parameters=PARAMETERS,
        seeds=3,
        backbones=min(3, pairs),
    )


def test_a_board_without_a_run_that_ended_well_has_no_scale(tmp_path: Path) -> None:
    names = ("lm", "teacher", "independent")
    write_one_direction(tmp_path, failed={(name, 0): ("diverged", "") for name in names})
    (board,) = score(tmp_path, SPEC).boards
    assert board.scale is None


def test_no_records_make_no_boards(tmp_path: Path) -> None:
    assert score(tmp_path, SPEC).boards == ()


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    write_one_direction(tmp_path / "runs", methods=("lm", "crd"), seeds=range(3))
    for name in ("first.json", "second.json"):
        write_scores(score(tmp_path / "runs", SPEC), tmp_path / name)
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_scores_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_one_direction(tmp_path, seeds=range(3))
    write_scores(score(tmp_path, SPEC), tmp_path / "scores.json")
    again = Scores.model_validate_json((tmp_path / "scores.json").read_bytes())
    write_scores(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "scores.json").read_bytes()
    assert json.loads((tmp_path / "scores.json").read_text())["scoring_digests"] == {
        "synthetic": SPEC.scoring_digest("synthetic")
    }


def test_scoring_imports_no_torch() -> None:
    code = "import sys, kdbench.scoring.board, kdbench.cli.boards; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
