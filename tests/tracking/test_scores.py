"""Alpha and tau in MLflow."""

import shutil
from pathlib import Path

import pytest

from kdbench.records import find_records, read_record
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Estimate
from kdbench.scoring.scores import Row
from kdbench.spec import Question
from kdbench.testsets.spec import load_spec
from kdbench.tracking.mirror import mirror
from tests.record_factory import write_matrix
from tests.tracking.mirrored import runs_of


def row_of(results: Path) -> Row:
    """Return the row of lm on the first board."""
    board = score(results, load_spec()).boards[0]
    return next(row for row in board.rows if row.method == "lm")


def test_each_row_and_seed_has_a_run_with_its_tau(results: Path) -> None:
    write_matrix(results, seeds=(0, 1, 2), directions=("cnn-to-vit",), transfer=0.4, spread=0.02)
    outcome = mirror(results)
    assert (outcome.scores, outcome.warning) == (4, "")
    runs, row = {run.data.params["seed"]: run for run in runs_of(results, "score")}, row_of(results)
    assert sorted(runs) == ["0", "1", "2", "all"]
    for seed, number in {"all": row.transfer, **{str(seed): tau for seed, tau in row.transfer_by_seed.items()}}.items():
        assert isinstance(number, Estimate)
        metrics = runs[seed].data.metrics
        values = [metrics[f"transfer/{name}"] for name in ("tau", "tau_low", "tau_high")]
        assert values == [number.value, number.low, number.high]
    assert runs["2"].info.run_name == "tau of lm, seed 2"
    assert runs["all"].info.run_name == "tau of lm, all seeds"
    assert "transfer/tau_shape" in runs["all"].data.metrics


def test_the_question_of_architecture_has_alpha(results: Path) -> None:
    write_matrix(results, directions=("cnn-to-vit",), question="architecture")
    mirror(results)
    runs = runs_of(results, "score")
    assert {run.data.params["question"] for run in runs} == {"architecture"}
    assert all("transfer/alpha" in run.data.metrics for run in runs)


def test_scores_that_stay_the_same_are_not_written_again(results: Path) -> None:
    write_matrix(results, directions=("cnn-to-vit",))
    assert mirror(results).scores == 2
    before = {run.info.run_id for run in runs_of(results, "score")}
    assert mirror(results).scores == 0
    assert {run.info.run_id for run in runs_of(results, "score")} == before


def test_another_seed_changes_the_runs_of_all_seeds_alone(results: Path) -> None:
    for seeds in ((0,), (0, 1)):
        write_matrix(results, seeds=seeds, directions=("cnn-to-vit",), spread=0.02)
        mirror(results)
    assert sorted(run.data.params["seed"] for run in runs_of(results, "score")) == ["0", "1", "all"]


def test_a_row_that_is_gone_has_no_score_in_mlflow(results: Path) -> None:
    write_matrix(results, methods=("lm", "crd"), directions=("cnn-to-vit",))
    mirror(results)
    for folder in find_records(results):
        if read_record(folder).method == "crd":
            shutil.rmtree(folder)
    mirror(results)
    assert {run.data.params["method"] for run in runs_of(results, "score")} == {"lm"}


def test_a_tau_without_a_value_has_its_reason(results: Path) -> None:
    write_matrix(results, directions=("cnn-to-vit",))
    for folder in find_records(results):
        record = read_record(folder)
        if record.method == "lm" and record.teacher_bias == "texture":
            shutil.rmtree(folder)
    mirror(results)
    (run,) = runs_of(results, "score")
    assert "transfer/tau" not in run.data.metrics
    assert run.data.tags["transfer_undefined"] == "no student of the texture teacher was scored"


@pytest.mark.parametrize("question", ["planted", "architecture"])
def test_scores_of_a_control_are_marked(results: Path, question: Question) -> None:
    write_matrix(results, methods=("lm",), frontier=("lm-hard",), directions=("cnn-to-vit",), question=question)
    mirror(results)
    marks = {run.data.params["method"]: run.data.tags["control"] for run in runs_of(results, "score")}
    assert marks == {"lm": "no", "lm-hard": "yes"}
