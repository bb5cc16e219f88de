"""Each check catches what it is there for, and no shipped method fails one."""

from pathlib import Path

import pytest

from kdbench.checks.examination import Examination
from kdbench.checks.report import CLAIMS, CheckReport
from kdbench.methods.files import list_submissions, submission_path
from kdbench.methods.scaffolding import write_method
from kdbench.testsets.spec import load_spec
from tests.checks.broken_methods import BROKEN

pytestmark = pytest.mark.slow  # each examination makes several short trainings


def examined(file: Path, folder: Path) -> CheckReport:
    """Return the report on a file, whose code runs in this process."""
    kept: list[CheckReport] = []
    report = Examination(file, file, load_spec().track("synthetic"), folder, kept.append).make()
    assert kept[-1] == report
    return report


def failures(report: CheckReport) -> list[str]:
    return [f"{finding.check}: {finding.seen}" for finding in report.findings if finding.outcome == "failed"]


@pytest.mark.parametrize("name", list_submissions())
def test_every_shipped_method_passes(name: str, tmp_path: Path) -> None:
    report = examined(submission_path(name), tmp_path)
    assert failures(report) == []
    assert [finding.check for finding in report.findings] == list(CLAIMS)


@pytest.mark.parametrize("kind", ["loss", "step", "prepare"])
def test_a_new_method_passes_every_check(kind: str, tmp_path: Path) -> None:
    file, _ = write_method("new-method", kind, tmp_path)
    report = examined(file, tmp_path / "trainings")
    assert {finding.outcome for finding in report.findings} == {"passed"}, failures(report)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_fails_the_check_that_is_there_for_it(name: str, tmp_path: Path) -> None:
    broken, file = BROKEN[name], tmp_path / "broken.py"
    file.write_text(broken.source)
    report = examined(file, tmp_path / "trainings")
    failed = next(finding for finding in report.findings if finding.outcome == "failed")
    assert failed.check == broken.check, failed.seen
    assert broken.seen in failed.seen
    assert failed.place == f"broken.py:{broken.line_number}"


def test_every_check_but_none_other_is_tried_by_a_broken_file() -> None:
    assert {broken.check for broken in BROKEN.values()} == set(CLAIMS)


def test_a_failure_leaves_the_checks_that_were_made_as_they_are(tmp_path: Path) -> None:
    """A spread of zero is only met on grey images, so everything else is known of the method."""
    file = tmp_path / "broken.py"
    file.write_text(BROKEN["division-by-a-spread-that-can-be-zero"].source)
    outcomes = {finding.check: finding.outcome for finding in examined(file, tmp_path / "trainings").findings}
    assert outcomes.pop("finite") == "failed"
    assert set(outcomes.values()) == {"passed"}
