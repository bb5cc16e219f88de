"""Answers inquiries about method files without running their code in this process: each in a process of its own."""

from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from pydantic import ValidationError

from kdbench.errors import SubmissionError, describe_invalid, plain_text
from kdbench.jobs.devices import cores
from kdbench.jobs.guard import SIGNALLED
from kdbench.jobs.hostile_files import Refused, read_regular_file
from kdbench.jobs.job import ANSWER, DescribeJob
from kdbench.jobs.launcher import DESCRIBE_LIMITS, ForkHandle, ForkLauncher
from kdbench.jobs.temporary_folders import temporary_folder
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.inquiries import LONGEST_TEXT, Answer, Description, Inquiry

MOST_ANSWER_BYTES = 2**20
MOST_SENTENCE = 1000  # characters
_LIMIT_CHECK_SECONDS = 0.2


class ConfinedDescriber:
    """Answers inquiries, several at a time; see `kdbench.methods.inquiries.Describe`.

    Args:
        launcher: starts the processes.
        workers: processes at a time.
        sandbox: whether they are confined as far as the kernel allows it.
    """

    def __init__(self, launcher: ForkLauncher, workers: int, *, sandbox: bool = True) -> None:
        self._launcher, self._workers, self._sandbox = launcher, workers, sandbox

    def __call__(self, inquiries: Sequence[Inquiry]) -> list[Description]:
        with temporary_folder("kdbench-describe-") as place:
            jobs = [DescribeJob(entry, place / str(number), self._sandbox) for number, entry in enumerate(inquiries)]
            for job in jobs:
                job.scratch.mkdir()
            endings = dict(self._endings(jobs))
            return [_description(job, endings[job.scratch]) for job in jobs]

    def _endings(self, jobs: Sequence[DescribeJob]) -> Iterator[tuple[Path, str | None]]:
        """Do the jobs, and yield the folder of each with what it did wrong; None if it ended as it should."""
        waiting, active = list(jobs), list[_Described]()
        try:
            while waiting or active:
                while waiting and len(active) < self._workers:
                    active.append(_Described(self._launcher.describe(waiting.pop(0))))
                wait([described.handle.sentinel for described in active], _LIMIT_CHECK_SECONDS)
                for described in list(active):
                    if described.has_ended():
                        active.remove(described)
                        yield described.handle.job.scratch, described.fault
        finally:
            for described in active:
                described.handle.kill()


class _Described:
    """A method file that is being described.

    Attributes:
        handle: of the process.
        fault: what it did wrong, as the end of a sentence; None for nothing so far.
    """

    def __init__(self, handle: ForkHandle[DescribeJob]) -> None:
        self.handle = handle
        self.fault: str | None = None
        self._has_begun = False

    def has_ended(self) -> bool:
        """Return whether the process has ended, by itself or because it went over a limit."""
        if (code := self.handle.poll()) is not None:
            self.fault = _fault_of(code)
            return True
        if not self._has_begun:  # the time that the harness needs to import its libraries does not count
            self._has_begun = self.handle.progress() is not None
            self.handle.restart_clock()
            return False
        if (over := self.handle.over_limit()) is not None:
            self.handle.kill()
            self.fault = f"{over[1]} while it was imported and tried; a method file only defines a class"
            return True
        return False


def _fault_of(code: int) -> str | None:
    """Return what the exit code of a process says that it did wrong, as the end of a sentence."""
    if code == 0:
        return None
    number = -code if code < 0 else code - SIGNALLED
    return _ended(f"signal {number}" if number > 0 else f"exit code {code}")


def _ended(how: str) -> str:
    return f"ended the process that read it ({how}); a method file only defines a class"


def _description(job: DescribeJob, fault: str | None) -> Description:
    """Return the description that a job left; SubmissionError, with a sentence that names the file, if there is none.

    Whatever the job left may have been written by the method's own code.
    """
    path = job.inquiry.path
    if fault is not None:
        raise SubmissionError(f"{path} {fault}")
    try:
        content = read_regular_file(job.scratch / ANSWER, MOST_ANSWER_BYTES, left_by=str(path))
        if content is None:
            raise SubmissionError(f"{path} {_ended('exit code 0')}")
        answer = Answer.model_validate_json(content)
    except Refused as error:
        raise SubmissionError(str(error)) from error
    except ValidationError as error:
        reason = plain_text(describe_invalid(error, Answer))
        raise SubmissionError(f"{path} left {ANSWER}, which does not describe a method: {reason}") from error
    if answer.description is None:
        refusal = plain_text(answer.refusal or "", MOST_SENTENCE)
        raise SubmissionError(refusal if refusal.startswith(str(path)) else f"{path}: {refusal}")
    texts = {name: plain_text(getattr(answer.description, name), LONGEST_TEXT) for name in ("summary", "paper")}
    return answer.description.model_copy(update=texts)


def describe_submissions() -> list[Description]:
    """Return the descriptions of all shipped methods; SubmissionError if one of them is refused."""
    files = [read_method_file(submission_path(name)) for name in list_submissions()]
    describe = ConfinedDescriber(ForkLauncher(DESCRIBE_LIMITS), cores())
    return describe([Inquiry(file.path, file.source) for file in files])
