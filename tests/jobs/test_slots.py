"""Runs on a GPU overlap: one trains, the one before it is evaluated, the one after it is prepared."""

from collections import Counter
from pathlib import Path

import pytest

from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.job import GPU_FAILED, Job
from kdbench.plan.context import RunContext
from kdbench.plan.matrix import PlannedRun
from kdbench.records import Record, read_record
from tests.jobs.pretend_launcher import PretendHandle, PretendLauncher, Silent
from tests.planned_runs import expanded


class Counting(PretendLauncher):
    """Jobs that take some polls, by kind; it counts how many there are of each kind at once."""

    def __init__(self, polls: dict[str, int], **more: dict[str, int]) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.polls, self.most = polls, Counter[str]()
        self.running: list[PretendHandle] = []

    def start(self, job: Job) -> PretendHandle:
        handle = super().start(job)
        left, code = self.polls[job.kind], handle._code
        self.running.append(handle)

        def poll() -> int | None:
            nonlocal left
            left -= job.kind == "evaluate" or handle.proceeded
            if left > 0:
                return None
            if handle in self.running:
                self.running.remove(handle)
            return code

        handle.poll = poll  # type: ignore[method-assign]
        now = Counter("evaluate" if each.job.kind == "evaluate" else "begun" for each in self.running)
        now["training"] = sum(each.job.kind == "train" and each.proceeded for each in self.running)
        now["jobs"] = len(self.running)
        self.most |= now
        return handle


class Proceeding(Silent):
    """Notes which jobs a user is told of."""

    def __init__(self) -> None:
        self.told_of: list[tuple[str, str]] = []

    def started(self, job: Job) -> None:
        self.told_of.append((job.kind, job.run.run_id))


def execute(
    launcher: PretendLauncher, results: Path, workers: int, gpus: tuple[str, ...], watcher: Silent | None = None
) -> dict[str, Record]:
    executor = LocalExecutor(launcher, workers, gpus, overlap=True)
    records = executor.execute(runs(), RunContext(results, results / "cache"), watcher or Silent())
    return {record.run_id: record for record in records}


def runs() -> list[PlannedRun]:
    return expanded(seeds=(0, 1))


def test_a_run_trains_while_one_is_evaluated_and_one_is_prepared(tmp_path: Path) -> None:
    launcher, watcher = Counting({"train": 4, "evaluate": 4}), Proceeding()
    assert len(execute(launcher, tmp_path, 1, ("0",), watcher)) == len(runs())
    assert launcher.most == {"training": 1, "evaluate": 1, "begun": 2, "jobs": 3}
    assert launcher.released
    assert Counter(watcher.told_of) == Counter((kind, run.run_id) for kind in ("train", "evaluate") for run in runs())


def test_trainings_wait_for_evaluations_that_fall_behind(tmp_path: Path) -> None:
    launcher = Counting({"train": 1, "evaluate": 8})
    assert len(execute(launcher, tmp_path, 1, ("0",))) == len(runs())
    assert launcher.most["evaluate"] == 1


def test_a_prepared_run_is_that_of_a_place_and_goes_on_there(tmp_path: Path) -> None:
    launcher = Counting({"train": 3, "evaluate": 1})
    execute(launcher, tmp_path, 2, ("4", "6"))
    trained = [handle for handle in launcher.handles if handle.job.kind == "train"]
    assert {handle.job.gpu for handle in trained} == {"4", "6"}
    assert all(handle.proceeded for handle in trained)
    assert launcher.most["training"] <= 4


def test_rows_say_how_many_jobs_worked_beside_them_on_their_gpu(tmp_path: Path) -> None:
    launcher = Counting({"train": 4, "evaluate": 4})
    execute(launcher, tmp_path, 1, ("0",))
    neighbours = {job.run.run_id: job.beside for job in launcher.jobs if job.kind == "evaluate"}
    assert max(neighbours.values()) == 2  # an evaluation and a preparation


def test_a_run_alone_on_its_gpu_and_runs_on_the_cpu_say_nothing_of_others(tmp_path: Path) -> None:
    alone, many = Counting({"train": 2, "evaluate": 2}), Counting({"train": 2, "evaluate": 2})
    LocalExecutor(alone, 1, ("0",)).execute(runs()[:1], RunContext(tmp_path / "a", tmp_path), Silent())
    LocalExecutor(many, 3).execute(runs(), RunContext(tmp_path / "b", tmp_path), Silent())
    assert {job.beside for job in (*alone.jobs, *many.jobs)} == {0}
    assert many.most["begun"] == 3


@pytest.mark.parametrize("gpus", [(), ("0",)])
def test_a_gpu_that_fails_in_an_evaluation_is_a_row_and_the_others_go_on(gpus: tuple[str, ...], tmp_path: Path) -> None:
    launcher = Counting({"train": 1, "evaluate": 1}, evaluations={"lm": GPU_FAILED})
    records = LocalExecutor(launcher, 1, gpus).execute(runs(), RunContext(tmp_path, tmp_path), Silent())
    failed = [record for record in records if record.status != "ok"]
    assert {record.method for record in failed} == {"lm"}
    assert {record.reason for record in failed} == {
        "the GPU failed or was lost while it was evaluated; log.txt beside the record says more"
    }
    assert len(records) == len(runs())


def test_an_interruption_ends_what_is_only_prepared_too(tmp_path: Path) -> None:
    launcher = Counting({"train": 2, "evaluate": 1})

    class Interrupting(Silent):
        def started(self, job: Job) -> None:
            if len(launcher.jobs) > 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(launcher, 1, ("0",)).execute(runs(), RunContext(tmp_path, tmp_path), Interrupting())
    assert any(not handle.proceeded for handle in launcher.running)
    assert all(handle.killed for handle in launcher.running)
    assert launcher.released


def test_a_training_that_dies_before_its_turn_is_a_row(tmp_path: Path) -> None:
    class Dying(Counting):
        def start(self, job: Job) -> PretendHandle:
            handle = super().start(job)
            if job.kind == "train" and job.run.submission.name == "lm":
                handle.poll = lambda: 1  # type: ignore[method-assign]
            return handle

    launcher = Dying({"train": 3, "evaluate": 1})
    records = execute(launcher, tmp_path, 1, ("0",))
    assert len(records) == len(runs())
    assert {record.status for record in records.values() if record.method == "lm"} == {"error"}
    assert {record.status for record in records.values() if record.method != "lm"} == {"ok"}
    assert all(read_record(RunContext(tmp_path, tmp_path).folder(run)) for run in runs())
