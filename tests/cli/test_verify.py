"""`kdbench verify` on a teacher and a student that were really trained, for a moment, and on records made up."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.methods.files import read_method_file
from kdbench.methods.inquiries import Inquiry
from kdbench.networks.models import read_weights, write_tensors
from kdbench.plan.context import RunContext
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import NUMERICS_VERSION
from kdbench.plan.overrides import with_overrides
from kdbench.plan.submissions import described_submission, teacher_submission
from kdbench.records import LOG, PREDICTIONS, WEIGHTS, read_predictions, read_record, write_record
from kdbench.records.identity import identity_of
from kdbench.records.storage import record_folder, seal_record
from kdbench.records.summary import summarise
from kdbench.records.verification import VERIFICATION, read_verification
from kdbench.resources import cache_folder
from kdbench.testsets.spec import load_spec
from tests.command_line import Command, assert_refused
from tests.jobs.pretend_launcher import Silent
from tests.planned_runs import described_here
from tests.record_factory import write_matrix

IMAGES, TEST_IMAGES = 64, 10
MINE = """
import torch.nn.functional as F
from dataclasses import dataclass
from kdbench.api import Method

class Mine(Method):
    name, paper, summary, directions = "mine", "", "copies its teacher", ("cnn-to-vit",)

    @dataclass(frozen=True)
    class Config:
        weights: tuple[float, ...] = (0.5, 1.0)
        hint: str | None = None

    def loss(self, batch, student, teacher):
        return self.config.weights[0] * F.mse_loss(student.logits, teacher.logits)

    def __init__(self, task, config):
        super().__init__(task, config)
        self.config = config
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folders of a CNN teacher's record and of its student's, with their weights."""
    place = tmp_path_factory.mktemp("verify")
    (place / "mine.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_CACHE", str(place / "cache"))
        track, reasons = with_overrides(
            load_spec().track("synthetic"), epochs=1, limit_test=TEST_IMAGES, limit_train=IMAGES
        )
        file = read_method_file(place / "mine.py")
        (description,) = described_here([Inquiry(file.path, file.source)])
        request = Request(
            track=track,
            questions=("planted",),
            submissions=[described_submission(file, description)],
            teacher_submission=teacher_submission(),
            directions=("cnn-to-vit",),
            seeds=(0,),
            device="cpu",
            limit_train=IMAGES,
            limit_test=TEST_IMAGES,
            unofficial=reasons,
        )
        student = next(run for run in expand(request) if run.teacher and run.teacher_bias == "texture")
        assert student.teacher
        context = RunContext(place / "runs", cache_folder())
        runs = [student.teacher, replace(student, references=())]
        LocalExecutor(ForkLauncher(Limits(seconds=600, memory_bytes=8 * 2**30)), 1).execute(runs, context, Silent())
        yield context.folder(student.teacher), context.folder(student)


@pytest.fixture
def pair(trained: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the trained teacher's record and of its student's."""
    results = shutil.copytree(trained[0].parents[1], tmp_path / "runs")
    shutil.copy(trained[0].parents[2] / "mine.py", tmp_path)
    return results / "synthetic" / trained[0].name, results / "synthetic" / trained[1].name


@pytest.mark.slow
def test_honest_records_are_equal_and_say_so_from_then_on(kdbench: Command, pair: tuple[Path, Path]) -> None:
    result = kdbench("verify", str(pair[0].parents[1]), "--name", "somebody")
    assert (result.returncode, result.stderr) == (0, "")
    for folder in pair:
        assert f"{folder.name}: equal when evaluated by somebody" in result.stdout
        verification = read_verification(folder, read_record(folder))
        assert verification is not None
        assert (verification.verdict, verification.by, verification.how) == ("equal", "somebody", "evaluated")
        assert verification.differences.identical
        assert verification.machine.device_class == "cpu-float32"


@pytest.mark.slow
def test_made_up_answers_are_different(kdbench: Command, pair: tuple[Path, Path]) -> None:
    teacher, student = pair
    record = read_record(student)
    right = {name: replace(part, label=part.target) for name, part in read_predictions(student).items()}
    write_record(student, record.model_copy(update={"test": summarise(right)}), right)
    result = kdbench("verify", str(teacher), str(student))
    assert result.returncode == 1
    assert f"{teacher.name}: equal when evaluated by" in result.stdout
    assert f"{student.name}: different when evaluated by" in result.stdout
    assert json.loads((student / VERIFICATION).read_text())["verdict"] == "different"


@pytest.mark.slow
def test_other_weights_with_their_own_digests_are_different(kdbench: Command, pair: tuple[Path, Path]) -> None:
    folder = pair[0]
    record, state = read_record(folder), read_weights(folder / WEIGHTS)
    others = {name: tensor.flatten().flip(0).reshape(tensor.shape) for name, tensor in state.items()}
    digest = write_tensors(folder / WEIGHTS, others)
    digests = record.digests.model_copy(update={"weights": digest})
    seal_record(folder, record.model_copy(update={"digests": digests}))
    result = kdbench("verify", str(folder))
    assert result.returncode == 1, result.stdout + result.stderr
    assert "different when evaluated by" in result.stdout


@pytest.mark.slow
def test_a_probability_in_the_last_place_is_within_tolerance(kdbench: Command, pair: tuple[Path, Path]) -> None:
    folder = pair[0]
    predictions = read_predictions(folder)
    confidence = np.nextafter(predictions["clean"].confidence, np.float32(0))
    predictions["clean"] = replace(predictions["clean"], confidence=confidence)
    write_record(folder, read_record(folder), predictions)
    result = kdbench("verify", str(folder))
    assert result.returncode == 0
    assert "within tolerance when evaluated by" in result.stdout
    assert "at most 0.00% of the images got another class" in result.stdout


@pytest.mark.slow
def test_a_student_is_trained_again_to_the_same_bits(kdbench: Command, pair: tuple[Path, Path]) -> None:
    teacher, student = pair
    shutil.rmtree(teacher)
    (student / WEIGHTS).unlink()
    (student / LOG).unlink()
    command = "verify", str(student), "--retrain"
    assert_refused(kdbench(*command), "the method 'mine' does not ship with kdbench; give its file by --method")
    result = kdbench(*command, "--method", str(student.parents[2] / "mine.py"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "equal when retrained by" in result.stdout
    assert "the weights are the same" in result.stdout
    assert not teacher.exists()


@pytest.mark.slow
def test_counts_that_are_edited_are_different(kdbench: Command, pair: tuple[Path, Path]) -> None:
    folder = pair[0]
    record = read_record(folder)
    counts = record.budget.model_copy(update={"student_backward_images": 1})
    seal_record(folder, record.model_copy(update={"budget": counts}))
    result = kdbench("verify", str(folder), "--retrain")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "different when retrained by" in result.stdout
    assert "the weights are the same" in result.stdout
    assert "the counts of steps and images are others" in result.stdout


@pytest.fixture
def made_up(tmp_path: Path) -> list[Path]:
    """Folders of records without weights, of which the last ended as oom."""
    return write_matrix(tmp_path / "runs", directions=("cnn-to-vit",), images=50, failed={("lm", 0): ("oom", "full")})


def renumbered(folder: Path, **changes: object) -> Path:
    """Change a record's fields, and the run id and the folder with them; return the folder."""
    record = read_record(folder).model_copy(update=changes)
    record = record.model_copy(update={"run_id": identity_of(record).run_id})
    to = record_folder(folder.parents[1], record.track, record.run_id, record.digests.testsets)
    folder.rename(to)
    seal_record(to, record)
    return to


def test_a_record_without_weights_can_only_be_retrained(kdbench: Command, made_up: list[Path]) -> None:
    sentence = f"{made_up[0]} keeps no weights to evaluate; --retrain trains the run again"
    assert_refused(kdbench("verify", str(made_up[0])), sentence)


def test_copies_of_official_records_are_left_out_and_counted(
    kdbench: Command, made_up: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    official = frozenset((folder.parent.name, folder.name) for folder in made_up[1:])
    monkeypatch.setattr("kdbench.jobs.verification.official_names", lambda: official)
    result = kdbench("verify", str(made_up[0].parents[1]))
    copied = sum(read_record(folder).status == "ok" for folder in made_up[1:])
    assert f"{copied} official records have no weights of their own and are left out; --retrain" in result.stdout
    assert_refused(result, f"{made_up[0]} keeps no weights to evaluate")
    assert len(result.stderr.splitlines()) == 1


def test_every_record_of_a_results_folder_with_answers_is_tried(kdbench: Command, made_up: list[Path]) -> None:
    result = kdbench("verify", str(made_up[0].parents[1]))
    answered = [folder for folder in made_up if read_record(folder).status == "ok"]
    assert len(answered) < len(made_up)
    assert result.returncode == 2
    assert result.stderr.count(": not verified: ") == len(answered)
    for folder in answered:
        assert f"{folder.name}: not verified: {folder} keeps no weights" in result.stderr


def test_what_is_no_whole_record_of_a_run_is_refused(kdbench: Command, made_up: list[Path], tmp_path: Path) -> None:
    assert_refused(kdbench("verify", str(tmp_path / "nowhere")), "neither the folder of a record nor a results folder")
    assert_refused(kdbench("verify", str(made_up[-1])), "ended as oom and has no answers to verify; `kdbench run")
    (made_up[0] / PREDICTIONS).write_bytes(b"others")
    assert_refused(kdbench("verify", str(made_up[0])), "is not whole", "predictions.npz was changed")


def test_a_run_of_another_harness_device_or_code_is_not_retrained(kdbench: Command, made_up: list[Path]) -> None:
    independent = next(folder for folder in made_up if read_record(folder).method == "independent")
    other = renumbered(independent, numerics=NUMERICS_VERSION + 1)
    refused = kdbench("verify", str(other), "--retrain")
    assert_refused(
        refused, f"numerics version {NUMERICS_VERSION + 1} of the harness trained the run", "the kdbench that made it"
    )
    digests = read_record(other).digests.model_copy(update={"code": "f" * 64})
    other = renumbered(other, numerics=NUMERICS_VERSION, digests=digests)
    refused = kdbench("verify", str(other), "--retrain")
    assert_refused(refused, "independent.py is not that of the record", "ffffffffffff...", "by --method")
    environment = read_record(other).environment.model_copy(update={"device_class": "cuda-bfloat16"})
    other = renumbered(other, environment=environment)
    refused = kdbench("verify", str(other), "--retrain", "--device", "cpu")
    assert_refused(refused, "the run was trained on cuda, and a training on another kind of device is another run")


def test_a_record_of_another_spec_is_refused(kdbench: Command, made_up: list[Path]) -> None:
    digests = read_record(made_up[0]).digests.model_copy(update={"training": "f" * 64})
    other = renumbered(made_up[0], digests=digests)
    assert_refused(kdbench("verify", str(other)), "made with other settings of the track 'synthetic'", "by --spec")


@pytest.mark.parametrize("name", ["x" * 81, "a\nb"])
def test_a_name_that_cannot_be_shown_is_refused(name: str, kdbench: Command, made_up: list[Path]) -> None:
    assert_refused(kdbench("verify", str(made_up[0]), "--name", name), "control characters or more than 80 characters")


def test_help_says_what_the_verdicts_mean(kdbench: Command) -> None:
    text = " ".join(kdbench("verify", "--help").stdout.split())
    assert "Example: kdbench verify runs/synthetic/" in text
    assert '"within tolerance"' in text
