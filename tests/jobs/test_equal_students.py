"""A method that has a teacher and ignores it has the same student for every teacher, so it transfers nothing."""

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.plan.options import RunOptions
from kdbench.records import Record
from kdbench.spec import QUESTIONS

pytestmark = pytest.mark.slow
DEAF = """
import torch
from dataclasses import dataclass
from torch.nn import functional as F
from kdbench.api import EVERY, Method

class Deaf(Method):
    name, paper, summary, directions = "deaf", "", "smooths labels at random and ignores its teacher", EVERY
    @dataclass(frozen=True)
    class Config:
        pass
    def loss(self, batch, student, teacher):
        assert teacher is not None
        return F.cross_entropy(student.logits, batch.labels, label_smoothing=0.2 * torch.rand(()).item())
"""


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Students of one CNN: of both natural teachers, and of both planted ones."""
    folder = tmp_path_factory.mktemp("deaf")
    (folder / "deaf.py").write_text(DEAF)
    options = RunOptions(
        methods=(str(folder / "deaf.py"),),
        questions=QUESTIONS,
        directions=("vit-to-cnn",),
        out=folder / "runs",
        limit_train=128,
        limit_test=20,
        epochs=1,
        device="cpu",
        workers=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KDBENCH_CACHE", str(folder / "cache"))
        records = run(options, Console(quiet=True)).records
    return [record for record in records if record.method == "deaf"]


def test_each_question_has_two_students(students: list[Record]) -> None:
    assert sorted((record.direction, record.teacher_bias) for record in students) == [
        ("cnn-to-cnn", "natural"),
        ("vit-to-cnn", "natural"),
        ("vit-to-cnn", "shape"),
        ("vit-to-cnn", "texture"),
    ]
    assert {record.status for record in students} == {"ok"}


def test_students_that_learn_nothing_from_their_teachers_are_equal(students: list[Record]) -> None:
    assert len({record.digests.weights for record in students}) == 1
    assert len({record.run_id for record in students}) == len({record.teacher_run_id for record in students}) == 4
    assert all(record.test == students[0].test for record in students)
