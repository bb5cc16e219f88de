"""Results folders with all the runs of a method, as `kdbench run` plans them, with made-up answers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kdbench.checks.report import CheckReport
from kdbench.plan.expansion import Request, expand
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.questions import posed_by
from kdbench.plan.submissions import read_submissions, teacher_submission
from kdbench.records import Record, find_records, read_predictions, read_record, record_folder, write_record
from kdbench.records.summary import summarise
from kdbench.review.points import Stated
from kdbench.review.submitting import Prepared, SubmissionRequest, submit
from kdbench.spec import Question, digest
from kdbench.testsets.spec import load_spec
from tests.planned_runs import TRACK, described_here, record_of, trial_on
from tests.record_factory import write_matrix

SPEC = load_spec()
STATED = Stated(("Ada Lovelace", "Grace Hopper"), "Lovelace & Hopper (2026)", "MIT")
METHOD = """
from dataclasses import dataclass
from torch.nn import functional as F
from kdbench.api import BOTH, Method

class Mine(Method):
    name, paper, summary, directions = "mine", "arXiv:2601.00001", "copies its teacher", BOTH

    @dataclass(frozen=True)
    class Config:
        weight: float = 0.5

    def loss(self, batch, student, teacher):
        return self.config.weight * F.mse_loss(student.logits, teacher.logits)
"""


def write_submission(folder: Path, *, seeds: Sequence[int] = (0,), source: str = METHOD) -> Path:
    """Write a method file, and beside it a results folder `runs` with all runs of its seeds; return the file."""
    file = folder / "mine.py"
    file.write_text(source)
    answers = _answers(folder / "answers", seeds)
    for run in planned_runs(file, seeds):
        predictions = read_predictions(answers[_kind(record_of(run))])
        record = record_of(run)
        digests = record.digests.model_copy(update={"weights": digest(["weights", run.run_id])})
        record = record.model_copy(update={"digests": digests, "test": summarise(predictions)})
        write_record(record_folder(folder / "runs", TRACK.name, run.run_id, TRACK.testsets_digest), record, predictions)
    return file


def _answers(folder: Path, seeds: Sequence[int]) -> dict[tuple[Any, ...], Path]:
    """Write made-up answers of all runs, and return where they lie by what tells the runs apart."""
    questions: tuple[Question, ...] = ("architecture", "planted")
    written = [
        each
        for question in questions
        for each in write_matrix(folder / question, methods=("mine",), seeds=seeds, images=90, question=question)
    ]
    return {_kind(read_record(each)): each for each in written}


def _kind(record: Record) -> tuple[Any, ...]:
    return record.method, record.family, record.direction, record.teacher_bias, record.seed


def planned_runs(file: Path, seeds: Sequence[int]) -> list[PlannedRun]:
    """Return all runs of a method file for some seeds, as a command with both questions plans them."""
    return expand(
        Request(
            track=TRACK,
            questions=posed_by(TRACK),
            submissions=read_submissions([str(file)], {}, trial_on(), described_here),
            teacher_submission=teacher_submission(),
            directions=TRACK.directions,
            seeds=seeds,
            device="cpu",
        )
    )


def submitted(
    file: Path,
    *,
    stated: Stated = STATED,
    check: Callable[[Path], CheckReport] = lambda path: CheckReport(),
    to: str = "submission",
) -> Prepared:
    """Submit a method with the records in the results folder beside it."""
    folder = file.parent
    request = SubmissionRequest(file, folder / "runs", TRACK.name, folder / to, stated)
    return submit(request, SPEC, described_here, check)


def records_of(file: Path, **fields: Any) -> list[Path]:
    """Return the folders of the records beside a method file that have these values."""
    stored = ((folder, read_record(folder)) for folder in find_records(file.parent / "runs"))
    return [
        folder for folder, record in stored if all(getattr(record, name) == value for name, value in fields.items())
    ]


def judged(prepared: Prepared, judgement: str) -> dict[str, str]:
    """Return what was seen, by claim, of the points that were judged so."""
    return {point.claim: f"{point.seen}|{point.remedy}" for point in prepared.points if point.judgement == judgement}
