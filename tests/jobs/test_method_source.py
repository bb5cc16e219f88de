"""The source of a method beside the record of its run."""

from dataclasses import replace
from pathlib import Path

from kdbench.files import file_sha256
from kdbench.jobs.evaluate_job import evaluate_run
from kdbench.jobs.job import Job
from kdbench.jobs.opened_sets import OpenedSets
from kdbench.records import SOURCE, read_record
from kdbench.records.integrity import check_record
from tests.jobs.small_jobs import a_teacher, context_in, silent, small
from tests.planned_runs import expanded, submission


def recorded(run_of: Path, source: bytes | None) -> Path:
    """Write the record of a run that took too long, and return its folder."""
    method = replace(submission("mine", uses_teacher=False), source=source)
    run = a_teacher(small()) if source is None else expanded(method, track=small())[-1]
    job = Job("evaluate", run, context_in(run_of), failure=("timeout", "it took too long"))
    evaluate_run(job, silent, OpenedSets(), log=lambda: None)
    return job.folder


def test_the_source_of_a_method_lies_beside_its_record_which_has_its_digest(tmp_path: Path) -> None:
    source = b"class Mine: ...\n"
    folder = recorded(tmp_path, source)
    assert (folder / SOURCE).read_bytes() == source
    assert read_record(folder).digests.files[SOURCE] == file_sha256(folder / SOURCE)
    (folder / SOURCE).write_bytes(b"class Other: ...\n")
    assert any(SOURCE in problem for problem in check_record(folder))


def test_a_teacher_has_no_source(tmp_path: Path) -> None:
    assert not (recorded(tmp_path, None) / SOURCE).exists()
