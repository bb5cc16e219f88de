"""`kdbench try` checks a file, runs it on little data, and says in a few lines what its students took over."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.cli.boards import with_interval
from kdbench.cli.trials import EXPLAINED, trial_lines
from kdbench.plan.trial import trial_options
from kdbench.records import read_record
from kdbench.scoring.board import score
from kdbench.scoring.scores import Scores
from kdbench.testsets.spec import load_spec
from tests.checks.broken_methods import BROKEN
from tests.command_line import Command
from tests.record_factory import write_matrix

ONE_WAY = """
from dataclasses import dataclass
from torch.nn import functional as F
from kdbench.api import Method

class OneWay(Method):
    name, paper, summary, directions = "one-way", "", "regresses on logits", ("vit-to-cnn",)

    @dataclass(frozen=True)
    class Config:
        weight: float = 1.0

    def loss(self, batch, student, teacher):
        distance = F.mse_loss(student.logits, teacher.logits)
        return F.cross_entropy(student.logits, batch.labels) + self.config.weight * distance
"""


def scored(folder: Path, method: str) -> tuple[Scores, str, str]:
    """Return the scores of both questions in one direction, and the digests of a method's code and of the training."""
    folders = [
        *write_matrix(folder, methods=("lm", "crd"), directions=("vit-to-cnn",), question="architecture"),
        *write_matrix(folder, methods=("lm", "crd"), directions=("vit-to-cnn",), question="planted"),
    ]
    record = next(record for record in map(read_record, folders) if record.method == method)
    return score([folder], load_spec()), record.digests.code, record.digests.training


def test_a_direction_has_alpha_tau_and_accuracies_in_one_line(tmp_path: Path) -> None:
    scores, code, training = scored(tmp_path, "lm")
    rows = {board.question: row for board in scores.boards for row in board.rows if row.code == code}
    line, explained = trial_lines(scores, code, training)
    shown = {question: with_interval(row.transfer).rstrip("*") for question, row in rows.items() if row.transfer}
    assert line.startswith(f"vit-to-cnn: alpha {shown['architecture']}, tau {shown['planted']}, clean accuracy 0.9")
    assert ", without a teacher 0.9" in line
    assert explained == EXPLAINED


def test_a_method_without_a_teacher_has_neither_alpha_nor_tau(tmp_path: Path) -> None:
    scores, code, training = scored(tmp_path, "independent")
    rows = [row.model_copy(update={"kind": "method"}) for row in scores.boards[0].rows if row.code == code]
    boards = tuple(board.model_copy(update={"rows": tuple(rows)}) for board in scores.boards[:1])
    line, _ = trial_lines(scores.model_copy(update={"boards": boards}), code, training)
    assert "no alpha, since the method uses no teacher" in line


def test_boards_of_another_scale_are_left_out(tmp_path: Path) -> None:
    scores, code, _ = scored(tmp_path, "lm")
    assert list(trial_lines(scores, code, "another")) == [EXPLAINED]


def test_a_file_that_fails_a_check_is_not_run(kdbench: Command, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text(BROKEN["needs-a-field-that-does-not-exist"].source)
    result = kdbench("try", str(file), f"--out={tmp_path / 'trials'}")
    assert result.returncode == 1
    assert "failed  the file defines one method" in result.stdout
    assert list((tmp_path / "trials").iterdir()) == []


@pytest.mark.slow
def test_a_trial_ends_with_its_lines_and_a_page(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial is made smaller, since its numbers do not matter here."""
    monkeypatch.setattr("kdbench.plan.trial.EPOCHS", 1)
    monkeypatch.setattr("kdbench.plan.trial.IMAGES", 64)
    monkeypatch.setattr(
        "kdbench.plan.trial.trial_options", lambda *values: replace(trial_options(*values), limit_test=10)
    )
    file = tmp_path / "one-way.py"
    file.write_text(ONE_WAY)
    result = kdbench("try", str(file), f"--out={tmp_path / 'trials'}")
    assert result.returncode == 0, result.stderr
    *_, line, explained, warning = result.stdout.splitlines()
    assert line.startswith("vit-to-cnn: alpha ")
    assert ", tau " in line
    assert explained == EXPLAINED
    assert warning.startswith("This was a trial of 1 epochs on 64 images with one seed: nothing of it is ranked")
    assert (tmp_path / "trials" / "site" / "index.html").is_file()
