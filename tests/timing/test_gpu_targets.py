"""The rows of the GPU checks that have targets, made on a CPU at tiny sizes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmark.timing import gpu_checks, side_by_side
from benchmark.timing.loops import LoopEffort, loop_rates
from benchmark.timing.paper_rows import paper_rows
from benchmark.timing.plain_loop import TEMPERATURE, accuracy, distillation_loss
from benchmark.timing.rows import row_of
from benchmark.timing.run_rows import (
    EVALUATION,
    GAP,
    board_row,
    board_rows,
    planned_runs,
    rows_of_records,
    run_rows,
    training_seconds,
)
from benchmark.timing.side_by_side import Crowd, crowd_row
from benchmark.timing.small_rows import small_rows
from benchmark.timing.training_rows import Bench
from kdbench.plan.options import RunOptions
from kdbench.records import read_record
from kdbench.spec import Track
from kdbench.testsets.spec import load_spec
from tests.record_factory import write_matrix

CPU = torch.device("cpu")
EFFORT = LoopEffort(steps=1, rounds=6, workers=0, images=32)


@pytest.fixture
def track() -> Track:
    """The synthetic track in batches of 4, with flips."""
    whole = load_spec().track("synthetic")
    return whole.model_copy(
        update={
            "training": whole.training.model_copy(update={"batch_size": 4}),
            "augmentation": whole.augmentation.model_copy(update={"flip": True}),
        }
    )


def test_both_loops_are_timed_in_turn(track: Track) -> None:
    rates = loop_rates(track, "vit-to-cnn", CPU, EFFORT)
    assert rates.ratio.low <= rates.ratio.median <= rates.ratio.high
    assert rates.ours.median / rates.plain.median == pytest.approx(rates.ratio.median, rel=0.9)
    assert rates.processor_ratio.median > 0


@pytest.mark.slow
def test_the_plain_loop_draws_from_processes_of_its_own(track: Track) -> None:
    assert loop_rates(track, "cnn-to-vit", CPU, replace(EFFORT, workers=1)).plain.median > 0


def test_the_plain_loss_is_that_of_hinton() -> None:
    """Of a student that knows nothing, the divergence is log C minus the entropy of the softened teacher."""
    teacher = torch.tensor([[2.0, 0.0, -2.0, 1.0]])
    softened = (teacher / TEMPERATURE).softmax(dim=1)
    divergence = torch.log(torch.tensor(4.0)) + (softened * softened.log()).sum()
    expected = 0.1 * torch.log(torch.tensor(4.0)) + 0.9 * TEMPERATURE**2 * divergence
    assert distillation_loss(torch.zeros(1, 4), teacher, torch.tensor([2])).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_accuracies_are_percentages_of_images() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    assert accuracy(logits, torch.tensor([0, 1]), 1) == 50
    assert accuracy(logits, torch.tensor([0, 1]), 2) == 100
    assert accuracy(logits, torch.tensor([2, 2]), 5) == 100


def test_forms_of_a_step_are_measured_beside_the_plain_loop(track: Track) -> None:
    rows = list(small_rows(track, "cnn-to-vit", CPU, EFFORT, stages=[["eager"], ["captured"]]))
    names = ("plain loop", "eager", "plain loop", "captured", "in one process")
    assert [row.check for row in rows] == [f"cnn-to-vit {name}" for name in names]
    assert rows[1].result.endswith(" times the plain loop, ran eager")
    ratios = rows[1].facts["ratio cnn-to-vit eager"], rows[3].facts["ratio cnn-to-vit captured"]
    assert rows[4].good is (max(ratios) >= 5)
    assert rows[4].result.startswith(f"{max(ratios):.2f} times")
    fastest = max(rows[1].facts["cnn-to-vit eager"], rows[3].facts["cnn-to-vit captured"])
    assert rows[4].facts == {"cnn-to-vit fastest": fastest}


def test_the_papers_targets_are_not_those_of_other_tracks(track: Track) -> None:
    bench = Bench(track, CPU, peak=1e12, steps=1, images=32)
    epoch, alone = paper_rows(bench, "cnn-to-vit", "eager")
    assert "the target is 17" in epoch.result
    assert "of the matrix peak" in alone.result
    assert (epoch.good, alone.good) == (None, None)
    assert len(list(paper_rows(bench, "vit-to-cnn", "eager"))) == 1


@pytest.mark.slow
def test_trainings_at_once_are_summed(track: Track) -> None:
    crowd = Crowd(track, "vit-to-cnn", "cpu", 32, "eager", runs=2, seconds=0.5)
    (row,) = crowd_row(crowd, plain=1e-3, fastest=1.0)
    assert row.good
    assert row.facts["vit-to-cnn speed-up"] > 0


@pytest.mark.parametrize(("plain", "good"), [(10.0, True), (10.1, False), (None, False)])
def test_all_trainings_together_have_a_target(
    plain: float | None, good: bool, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "crowd_rates", lambda crowd: [50.0, 30.0])
    crowd = Crowd(track, "vit-to-cnn", "cpu", 32, "eager", runs=2, seconds=0.5)
    (row,) = crowd_row(crowd, plain, fastest=40.0)
    assert row.good is good
    assert row.facts == {"vit-to-cnn speed-up": 2.0}


def test_the_time_between_runs_is_what_was_neither_training_nor_evaluation(tmp_path: Path) -> None:
    record = read_record(write_matrix(tmp_path, directions=("cnn-to-vit",), images=50)[-1])

    def a_record(second: int) -> object:
        timing = record.timing.model_copy(update={"training": 7.0, "evaluation": 2.0})
        return record.model_copy(update={"timing": timing, "finished": f"2026-01-01T00:00:{second:02d}+00:00"})

    *runs, between = rows_of_records([a_record(24), a_record(0), a_record(12)])  # type: ignore[list-item]
    assert len(runs) == 3
    assert between.result.startswith("3.0, 3.0 s without")
    assert between.good
    assert between.facts[GAP] == 3
    *_, between = rows_of_records([a_record(0), a_record(15)])  # type: ignore[list-item]
    assert between.good is False
    assert [row.good for row in rows_of_records([])] == [False]


@pytest.mark.slow
def test_a_real_run_is_described() -> None:
    tiny = ("--methods", "independent", "--directions", "cnn-to-vit", "--epochs", "1")
    rows = list(run_rows((*tiny, "--limit-train", "64", "--limit-test", "10"), "cpu", 600))
    assert all(row.result.startswith("ok, ran eager, trained for") and "sandbox:" in row.result for row in rows[:-1])
    assert rows[-1].check == "time between runs"


def test_a_run_that_is_refused_is_a_row() -> None:
    rows = list(run_rows(("--methods", "lmm"), "cpu", 600))
    assert "unknown method 'lmm'" in rows[0].result
    assert [row.good for row in rows] == [False, False]


def test_a_run_that_takes_too_long_is_a_row() -> None:
    rows = list(run_rows((), "cpu", 0.1))
    assert rows[0].result == "it was ended after 0 s, before it was finished"
    assert rows[1].result == "0 records, which are too few"


def test_boards_are_extrapolated_from_rates() -> None:
    options = RunOptions("synthetic", methods=("lm",), directions=("cnn-to-vit",), device="cpu")
    runs, facts = planned_runs(options), {GAP: 2.0, EVALUATION: 1.0}
    images = sum(run.epochs * 3000 for run in runs)
    seconds = images / 1000 / 2 + 3 * len(runs)
    row = board_row("a board", options, facts, rate=1000.0, speed_up=2.0, target=seconds / 60 + 0.01)
    assert row.result.startswith(f"{seconds / 60:.1f} min for {len(runs)} runs")
    assert row.good
    assert not board_row("a board", options, facts, rate=900.0, speed_up=2.0, target=seconds / 60).good


def test_sskd_takes_longer_than_other_methods() -> None:
    runs = planned_runs(RunOptions("synthetic", methods=("lm", "sskd"), directions=("vit-to-cnn",), device="cpu"))
    seconds = {run.submission.name: training_seconds(run, 100.0) for run in runs if run.role == "student"}
    assert seconds["lm"] == runs[-1].epochs * 30
    assert seconds["sskd"] == 4.5 * seconds["lm"]


def test_a_board_without_rates_is_not_measured() -> None:
    assert [row.good for row in board_rows({})] == [False, False]
    assert all("not measured" in row.result for row in board_rows({}))


def test_every_check_of_the_script_knows_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    gpu_checks.print_check("boards", {})
    rows = [row_of(line) for line in capsys.readouterr().out.splitlines()]
    boards = ("synthetic, five seeds with controls", "cifar10-32, one seed")
    assert [row and row.check for row in rows] == [f"{board}, extrapolated" for board in boards]


def test_checks_with_targets_come_first() -> None:
    names = [check.name for check in gpu_checks.all_checks({})]
    assert names[:4] == ["32 px cnn-to-vit", "kdbench run", "224 px cnn-to-vit", "tests marked gpu"]
    assert names[-2:] == ["device", "pictures"]
    assert names.index("boards") > max(names.index(name) for name in names if name.startswith("32 px"))
    assert len(names) == len(set(names))
