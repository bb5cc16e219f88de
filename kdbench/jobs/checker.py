"""Checks a method file without running its code in this process: in a process of its own, which is confined."""

from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from pydantic import ValidationError

from kdbench.checks.report import CLAIMS, CheckName, CheckReport, Finding, shortened
from kdbench.errors import SubmissionError
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.guard import SIGNALLED
from kdbench.jobs.hostile_files import Refused, read_regular_file
from kdbench.jobs.job import ANSWER, CheckJob
from kdbench.jobs.launcher import ForkHandle, ForkLauncher, Limits
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.methods.files import read_method_file
from kdbench.methods.inquiries import Description, Inquiry
from kdbench.spec import Track

LIMITS = Limits(seconds=600, memory_bytes=8 * 2**30, disk_bytes=2 * 2**30, processes=32)
MOST_BYTES = 2**20
_LIMIT_CHECK_SECONDS = 0.2


@dataclass(frozen=True)
class CheckedFile:
    """A method file that was checked.

    Attributes:
        report: a finding for each claim.
        description: of the method; None if the file breaks the contract.
    """

    report: CheckReport
    description: Description | None = None


def check_method_file(path: Path, track: Track) -> CheckedFile:
    """Check a method file in a process of its own.

    Args:
        path: of the file.
        track: whose networks it is checked with.
    """
    launcher = ForkLauncher(LIMITS)
    try:
        file = read_method_file(path)
        (description,) = ConfinedDescriber(launcher, workers=1)([Inquiry(file.path, file.source)])
    except SubmissionError as error:
        return CheckedFile(_completed(CheckReport(), Finding.failure("contract", str(error)), "the contract is broken"))
    with temporary_folder("kdbench-check-") as place:
        job = CheckJob(path, file.source, track, place)
        fault = _finished(launcher.check(job))
        return CheckedFile(_report(job, fault), description)


def _finished(handle: ForkHandle[CheckJob]) -> str | None:
    """Wait for the end of the checks, and return what the process did wrong, in words; None if it ended well."""
    has_begun = False
    try:
        while (code := handle.poll()) is None:
            wait([handle.sentinel], _LIMIT_CHECK_SECONDS)
            if not has_begun:  # the time that the harness needs to import its libraries does not count
                has_begun = handle.progress() is not None
                handle.restart_clock()
            elif handle.poll() is None and (over := handle.over_limit()) is not None:
                return f"the method {over[1]}"
    finally:
        handle.kill()
    if code == 0:
        return None
    number = -code if code < 0 else code - SIGNALLED
    return f"the method ended the process ({f'signal {number}' if number > 0 else f'exit code {code}'})"


def _report(job: CheckJob, fault: str | None) -> CheckReport:
    """Return what a job found, with its text made harmless; the check that it did not end has failed."""
    try:
        content = read_regular_file(job.scratch / ANSWER, MOST_BYTES, left_by="the method")
        left = CheckReport() if content is None else CheckReport.model_validate_json(content)
    except Refused as error:
        left, fault = CheckReport(), str(error)
    except ValidationError:
        left, fault = CheckReport(), f"the method left {ANSWER}, which is no report"
    made = {finding.check for finding in left.findings}
    missing = [check for check in CLAIMS if check not in made]
    if len(made) != len(left.findings):
        left, missing, fault = CheckReport(), list(CLAIMS), f"the method left {ANSWER}, which has a check twice"
    if not missing and fault is None:
        return _completed(left, None, "")
    ended = fault or "the method ended the process (exit code 0)"
    broken: CheckName = missing[0] if missing else "training"
    return _completed(left, Finding.failure(broken, ended), "the checks ended before")


def _completed(report: CheckReport, failed: Finding | None, reason: str) -> CheckReport:
    """Return a report with a finding for each claim, in their order; checks that were not made are skipped."""
    findings = {finding.check: _harmless(finding) for finding in report.findings}
    if failed is not None:
        findings[failed.check] = failed
    skipped = {check: Finding(check=check, outcome="skipped", seen=reason) for check in CLAIMS}
    return CheckReport(findings=tuple({**skipped, **findings}[check] for check in CLAIMS))


def _harmless(finding: Finding) -> Finding:
    return finding.model_copy(update={"place": shortened(finding.place), "seen": shortened(finding.seen)})
