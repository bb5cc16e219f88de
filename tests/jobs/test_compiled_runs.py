"""Compiled code is made before a method's code exists, is kept for later runs, and is out of reach of methods."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.launcher import ForkLauncher, Limits
from kdbench.networks.compiling import obstacle_to_compiling
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.plan.overrides import with_overrides
from kdbench.records import Record
from tests.jobs.pretend_launcher import Silent
from tests.planned_runs import TRACK, expanded, submission

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(obstacle_to_compiling("cpu") is not None, reason="there is no C++ compiler"),
]
METHOD = """
from dataclasses import dataclass
from pathlib import Path
import torch.nn.functional as F
from kdbench.api import BOTH, Method

class Meddling(Method):
    name, paper, summary, directions = "meddling", "", "writes into the folder of compiled code", BOTH
    uses_teacher = False
    @dataclass(frozen=True)
    class Config:
        pass
    def loss(self, batch, student, teacher):
        try:
            Path({target!r}).write_text("poison")
        except OSError:
            return F.cross_entropy(student.logits, batch.labels)
        raise ValueError("could write there")
"""


def run_with(seed: int, target: Path) -> PlannedRun:
    """Return the compiled run of a method that tries to write a file."""
    track, _ = with_overrides(TRACK, epochs=1, limit_train=64, limit_test=10)
    method = replace(submission("meddling", uses_teacher=False), source=METHOD.format(target=str(target)).encode())
    planned = expanded(method, track=track, directions=("vit-to-cnn",), seeds=(seed,))
    (run,) = (student for student in planned if student.role == "student")
    return replace(run, compiled=True)


def trained(run: PlannedRun, context: RunContext) -> Record:
    (record,) = LocalExecutor(ForkLauncher(Limits(600, 2**34)), 1).execute([run], context, Silent())
    return record


def test_the_second_run_reads_what_the_first_compiled_and_no_method_can_write_there(tmp_path: Path) -> None:
    context = RunContext(tmp_path / "runs", tmp_path / "cache")
    folder = context.cache / "compiled"
    first = trained(run_with(0, folder / "poison"), context)
    if first.environment.sandbox == "none":
        pytest.skip("this kernel confines no training")
    assert (first.status, first.reason, first.compiled) == ("ok", "", True)
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.so")}
    assert files
    second = trained(run_with(1, folder / "poison"), context)
    assert (second.status, second.reason) == ("ok", "")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.so")} == files
    assert not (folder / "poison").exists()
