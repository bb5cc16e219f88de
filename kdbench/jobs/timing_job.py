"""Times training steps, in a process that is restricted as a training is."""

import os
import sys
from pathlib import Path

import torch

from kdbench.jobs.confinement import Restrict, confinement, devices_of, start_device
from kdbench.jobs.job import MEASUREMENTS, TimingJob
from kdbench.resources import shipped
from kdbench.timing.scaling_steps import scaling_of_steps

SUITE = ("benchmark", "timing")
MOST_FILE_BYTES = 64 * 2**20


def time_steps(job: TimingJob, restrict: Restrict) -> None:
    """Time training steps in this process, and leave the measurements in the job's folder.

    The steps of methods are timed by a run of pytest.

    Args:
        job: what to time.
        restrict: narrows for good what this process may do, before the code of a method runs.
    """
    import pytest

    files = [_written(job.scratch / "methods" / str(number), *method) for number, method in enumerate(job.methods)]
    torch.set_num_threads(1)
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(job.scratch)
    start_device(job.device)
    readable = shipped("benchmark", "v1"), shipped(*SUITE)
    restrict(confinement(job.scratch, file_bytes=MOST_FILE_BYTES, readable=readable, devices=devices_of(job.gpu)))
    if job.scaling is not None:
        measured = scaling_of_steps(str(files[0]), torch.device(job.device), job.scaling)
        (job.scratch / MEASUREMENTS).write_text(measured.model_dump_json())
    else:
        pytest.main(_arguments(job, files))


def _written(folder: Path, name: str, source: bytes) -> Path:
    """Write a method file into a folder of its own, under the name that its user knows."""
    folder.mkdir(parents=True)
    (folder / name).write_bytes(source)
    return folder / name


def _arguments(job: TimingJob, files: list[Path]) -> list[str]:
    suite = shipped(*SUITE)
    quiet = ("-q", "-rf", "--tb=line", "--benchmark-quiet", "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin")
    isolated = ("-c", os.devnull, "--rootdir", str(suite), "--confcutdir", str(suite), "--import-mode=importlib")
    chosen = (f"--methods={os.pathsep.join(map(str, files))}", f"--tracks={','.join(job.tracks)}")
    return [
        *(str(suite), *isolated, *quiet, *chosen, f"--device={job.device}"),
        f"--benchmark-json={job.scratch / MEASUREMENTS}",
    ]
