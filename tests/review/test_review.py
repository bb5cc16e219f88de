"""Continuous integration finds what `kdbench submit` would not have written, and trains a seed again."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from kdbench.records import find_records, read_record
from kdbench.records.storage import seal_record
from kdbench.review.card import CARD
from kdbench.scoring.frames import SCORES_FILE
from leaderboard.review import review
from tests.review.submissions import METHOD, submitted, write_submission

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "submission.yml"
SEEDS = (0, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository part of a submission, which no test changes."""
    file = write_submission(tmp_path_factory.mktemp("whole"), seeds=SEEDS)
    assert submitted(file).card
    return file.parent / "submission" / "repository"


@pytest.fixture
def repository(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "repository")


class Trainings:
    """Notes what is to be trained again, and pretends that it went as `exit_code` says."""

    def __init__(self, exit_code: int = 0) -> None:
        self.exit_code = exit_code
        self.students: list[Path] = []

    def __call__(self, students: Sequence[Path], method: Path) -> int:
        self.students = list(students)
        return self.exit_code


def reviewed(repository: Path, trainings: Trainings, draw: int = 0) -> int:
    method = repository / "benchmark" / "submissions" / "mine.py"
    return review(repository / "leaderboard" / "submitted" / "mine", method, draw, trainings)


@pytest.mark.parametrize(("draw", "seed", "exit_code"), [(0, 0, 0), (11, 3, 1)])
def test_a_submission_is_scored_again_and_a_drawn_seed_trained_again(
    repository: Path, draw: int, seed: int, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    trainings = Trainings(exit_code)
    assert reviewed(repository, trainings, draw) == exit_code
    again = [read_record(folder) for folder in trainings.students]
    assert {(record.method, record.seed) for record in again} == {("mine", seed)}
    assert len(again) == 8
    printed = capsys.readouterr().out
    assert "records of mine give the same scores again" in printed
    assert f"training 8 students of mine with the seed {seed} again" in printed


def other_code(repository: Path) -> None:
    (repository / "benchmark" / "submissions" / "mine.py").write_text(METHOD.replace("0.5", "0.25"))


def other_scores(repository: Path) -> None:
    path = repository / "leaderboard" / "submitted" / "mine" / SCORES_FILE
    path.write_text(path.read_text().replace('"clean"', '"cleaner"', 1))


def no_scores(repository: Path) -> None:
    (repository / "leaderboard" / "submitted" / "mine" / SCORES_FILE).unlink()


def other_accuracy(repository: Path) -> None:
    """Change a record together with its digest, but not its answers."""
    folder = find_records(repository / "leaderboard" / "submitted" / "mine")[0]
    record = read_record(folder)
    result = record.test["clean"].model_copy(update={"macro_accuracy": 1.0})
    seal_record(folder, record.model_copy(update={"test": {**record.test, "clean": result}}))


def an_unofficial_record(repository: Path) -> None:
    folder = find_records(repository / "leaderboard" / "submitted" / "mine")[-1]
    seal_record(folder, read_record(folder).model_copy(update={"unofficial": ("--epochs 1\n::add-mask::x",)}))


def a_record_of_another_method(repository: Path) -> None:
    folder = find_records(repository / "leaderboard" / "submitted" / "mine")[-1]
    seal_record(folder, read_record(folder).model_copy(update={"method": "lm"}))


def fewer_seeds(repository: Path) -> None:
    path = repository / "leaderboard" / "submitted" / "mine" / CARD
    path.write_text(path.read_text().replace("    3,\n", ""))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_code, "but mine.py is submitted with"),
        (other_scores, "the records do not give the scores.json beside them"),
        (no_scores, "the records do not give the scores.json beside them"),
        (other_accuracy, "scoring refuses"),
        (an_unofficial_record, "is not official: --epochs 1 ::add-mask::x"),
        (a_record_of_another_method, "is a record of lm on synthetic, which does not belong here"),
        (fewer_seeds, "its students have the seeds (0, 3), and its card lists (0,)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_somebody_changed_is_found_and_nothing_is_trained(
    repository: Path, change: Callable[[Path], None], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(repository)
    trainings = Trainings()
    assert reviewed(repository, trainings) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(words in line for line in lines), lines
    assert all(line.startswith("::error::") for line in lines)
    assert trainings.students == []


def test_runs_of_a_gpu_are_left_to_a_maintainer(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = repository / "leaderboard" / "submitted" / "mine" / CARD
    path.write_text(path.read_text().replace('"cpu"', '"cuda"'))
    trainings = Trainings()
    assert reviewed(repository, trainings) == 0
    assert "::warning::the runs of mine were trained on a GPU" in capsys.readouterr().out
    assert trainings.students == []


def test_the_workflow_gives_strangers_no_rights_and_runs_the_code_of_the_base() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert list(workflow[True]) == ["pull_request"]  # YAML reads the key `on` as True
    steps = workflow["jobs"]["review"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert any("python base/leaderboard/review.py" in command for command in commands)
    assert not any("${{" in command for command in commands)
    assert steps[0]["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
