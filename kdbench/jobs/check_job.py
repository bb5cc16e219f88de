"""Checks a method file in this process, which is restricted before the file's code runs."""

import torch

from kdbench.checks.examination import Examination
from kdbench.checks.report import CheckReport
from kdbench.files import atomic_file
from kdbench.jobs.confinement import Restrict, confinement
from kdbench.jobs.job import ANSWER, CheckJob
from kdbench.training.loop import Progress

MOST_FILE_BYTES = 256 * 2**20


def check_file(job: CheckJob, progress: Progress, restrict: Restrict) -> None:
    """Check a method file, and leave the report in the job's folder as far as the checks have come.

    Args:
        job: the file, and where to work.
        progress: is called once, when the code of the method is about to run.
        restrict: narrows for good what this process may do, before it runs.
    """

    def keep(report: CheckReport) -> None:
        with atomic_file(job.scratch / ANSWER) as answer:
            answer.write(report.model_dump_json().encode())

    torch.set_num_threads(1)
    file = job.scratch / "method" / job.path.name
    file.parent.mkdir()
    file.write_bytes(job.source)
    restrict(confinement(job.scratch, file_bytes=MOST_FILE_BYTES))
    progress(0, 1)
    Examination(file, job.path, job.track, job.scratch / "trainings", keep).make()
