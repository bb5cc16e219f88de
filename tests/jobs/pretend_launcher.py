"""Jobs that are only pretended to run, and leave what real ones leave: weights of one number, and records."""

from dataclasses import replace

import torch

from kdbench.jobs.job import Job
from kdbench.networks.models import tensors_digest, write_weights
from kdbench.plan.matrix import PlannedRun
from kdbench.records import (
    OCCLUSION_UNDEFINED,
    WEIGHTS,
    Record,
    SetResult,
    Status,
    comparison_name,
    teacher_label,
    write_record,
)
from kdbench.testsets.diagnostics import evaluated_sets
from tests.examples import DIGESTS, a_record


def network_of(run: PlannedRun) -> torch.nn.Module:
    """A network of one weight, another for every run."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, int(run.run_id, 16) % 1000)
    return network


def record_of(job: Job) -> Record:
    """A record with answers on all sets that the job asks about, and its likeness to the reference teachers there."""
    run = job.run
    status, reason = job.failure or ("ok", "")
    teacher = run.teacher.run_id if run.teacher else None
    who = {"run_id": run.run_id, "method": run.submission.name, "seed": run.seed, "teacher_run_id": teacher}
    test_sets = evaluated_sets(run.track, diagnostics=job.context.diagnostics)
    test = {entry.name: SetResult(images=entry.images, macro_accuracy=0.5) for entry in test_sets}
    teachers = job.context.reference_folders(run)
    likeness = {
        "compared_with": tuple(teacher_label(kind) for kind in teachers),
        "scalars": {comparison_name(OCCLUSION_UNDEFINED, kind): 0.0 for kind in teachers if job.context.diagnostics},
    }
    weights = DIGESTS.model_copy(update={"weights": tensors_digest(network_of(run).state_dict())})
    return a_record(**who, status=status, reason=reason, test=test, digests=weights, **likeness)


class PretendHandle:
    def __init__(self, job: Job, code: int | None, over: tuple[Status, str] | None) -> None:
        self.job, self._code, self._over, self.killed, self.proceeded = job, code, over, False, False
        if job.kind == "evaluate":
            write_record(job.folder, record_of(job), {})
        elif code == 0:
            write_weights(job.folder / WEIGHTS, network_of(job.run))

    def poll(self) -> int | None:
        return self._code

    def over_limit(self) -> tuple[Status, str] | None:
        return self._over

    def progress(self) -> tuple[int, int] | None:
        return None

    def proceed(self) -> None:
        self.proceeded = True

    def kill(self) -> None:
        self.killed = True


class PretendLauncher:
    """`codes` gives exit codes of trainings by method or role, `evaluations` of evaluations that write nothing.

    A method in `over` never ends by itself.

    Nor does the evaluation of one in `slow`, which has no record before, unless it is there to record a failure.
    """

    def __init__(
        self,
        codes: dict[str, int] | None = None,
        over: dict[str, tuple[Status, str]] | None = None,
        slow: dict[str, tuple[Status, str]] | None = None,
        evaluations: dict[str, int] | None = None,
    ) -> None:
        self.codes, self.over, self.slow, self.evaluations = codes or {}, over or {}, slow or {}, evaluations or {}
        self.released = False
        self.jobs: list[Job] = []
        self.handles: list[PretendHandle] = []

    def prepare(self, job: Job) -> PretendHandle:
        assert job.kind == "train"
        return self.start(job)

    def evaluate(self, job: Job) -> PretendHandle:
        assert job.kind == "evaluate"
        return self.start(job)

    def release(self) -> None:
        self.released = True

    def start(self, job: Job) -> PretendHandle:
        self.jobs.append(job)
        name = job.run.submission.name
        training = job.kind == "train"
        if not training and job.failure is None and (name in self.slow or name in self.evaluations):
            code, limit = self.evaluations.get(name), self.slow.get(name)
            handle = PretendHandle(replace(job, kind="train"), code, limit)  # it writes no record
            handle.job = job
            self.handles.append(handle)
            return handle
        over = self.over.get(name) if training else None
        handle = PretendHandle(job, None if over else self.codes.get(name, 0) if training else 0, over)
        self.handles.append(handle)
        return handle


class Silent:
    def started(self, job: Job) -> None: ...

    def advanced(self, job: Job, done: int, total: int) -> None: ...

    def finished(self, run: PlannedRun, record: Record) -> None: ...
