"""Runs are spread over the GPUs that may be used, one run a GPU, and each process sees its own alone."""

import os
from pathlib import Path

import pytest
import torch

from kdbench.jobs.devices import see_only, visible_gpus
from kdbench.jobs.executor import LocalExecutor
from kdbench.jobs.job import Job
from kdbench.plan.context import RunContext
from tests.jobs.pretend_launcher import PretendHandle, PretendLauncher, Silent
from tests.planned_runs import expanded

VISIBLE = "CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("listed", "count", "names"),
    [
        (None, 3, ("0", "1", "2")),
        (None, 0, ()),
        ("2,5", 2, ("2", "5")),
        ("GPU-1a, GPU-2b", 2, ("GPU-1a", "GPU-2b")),
        ("0,7", 1, ("0",)),  # CUDA stops at the first name that is no device
        ("", 0, ()),
        ("-1", 0, ()),
    ],
)
def test_gpus_are_named_as_the_environment_names_them(
    listed: str | None, count: int, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv(VISIBLE, raising=False)
    if listed is not None:
        monkeypatch.setenv(VISIBLE, listed)
    assert visible_gpus() == names


def test_a_process_sees_its_own_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VISIBLE, "0,1,2")
    see_only("2")
    assert os.environ[VISIBLE] == "2"


def test_runs_are_spread_over_gpus_and_stay_where_they_began(tmp_path: Path) -> None:
    launcher = PretendLauncher()
    LocalExecutor(launcher, 2, gpus=("4", "6")).execute(expanded(), RunContext(tmp_path, tmp_path), Silent())
    where = {job.run.run_id: job.gpu for job in launcher.jobs if job.kind == "train"}
    assert set(where.values()) == {"4", "6"}
    assert all(job.gpu == where[job.run.run_id] for job in launcher.jobs)


def test_two_runs_at_once_are_on_two_gpus(tmp_path: Path) -> None:
    class Never(PretendLauncher):
        def start(self, job: Job) -> PretendHandle:
            super().start(job)
            if len(self.jobs) == 2:
                raise KeyboardInterrupt
            return self.handles[-1]

    launcher = Never(over={"teacher": ("timeout", "never asked")})
    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(launcher, 2, gpus=("0", "1")).execute(expanded(), RunContext(tmp_path, tmp_path), Silent())
    assert [job.gpu for job in launcher.jobs] == ["0", "1"]


def test_without_gpus_no_job_is_given_one(tmp_path: Path) -> None:
    launcher = PretendLauncher()
    LocalExecutor(launcher, 2).execute(expanded(), RunContext(tmp_path, tmp_path), Silent())
    assert {job.gpu for job in launcher.jobs} == {None}
