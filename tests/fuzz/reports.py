"""What a process that ran the code of a method reports: its progress, and what it says of the method."""

import contextlib
import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from rich.console import Console

from kdbench.errors import SubmissionError
from kdbench.jobs.describer import ConfinedDescriber
from kdbench.jobs.forecast import Forecast
from kdbench.jobs.job import ANSWER, DescribeJob, Job
from kdbench.jobs.launcher import DESCRIBE_LIMITS, ForkLauncher
from kdbench.jobs.progress import RunProgress
from kdbench.jobs.progress_pipe import ProgressReader, ProgressWriter
from kdbench.methods.describing import answer
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.inquiries import Answer, Description, Inquiry
from kdbench.plan.context import RunContext
from kdbench.plan.submissions import described_submission
from kdbench.records import Record
from tests.examples import a_record
from tests.fuzz.leftovers import SECRET, Leftovers, lay, leftovers
from tests.fuzz.mutations import damaged_json, damaged_python
from tests.fuzz.property import MOST_SECONDS, Property, check_message
from tests.planned_runs import expanded
from tests.time_limits import within_seconds

CODES = (*[0] * 15, 1, 42, 137, -9, 255)
PIPE_BYTES = 2**16
MOST_SECONDS_CONFINED = 120


def report_properties(root: Path) -> list[Property]:
    """Return what holds whatever is reported."""
    return [_progress(root), _described(root / "described"), _confined(root / "confined")]


def _message(done: int, total: int) -> bytes:
    return struct.pack("<4sII", b"kdb1", done, total)


def messages() -> SearchStrategy[list[bytes]]:
    """Draw what goes through the pipe, piece by piece: messages, parts of them, floods, and other bytes."""
    number = st.integers(0, 9) | st.integers(0, 2**32 - 1)
    message = st.builds(_message, number, number)
    part = st.builds(lambda whole, cut: whole[:cut], message, st.integers(0, 12))
    flood = st.builds(lambda piece, times: piece * times, message | st.binary(max_size=13), st.integers(1, 6000))
    return st.lists(message | part | flood | st.binary(max_size=40), max_size=8)


def _progress(root: Path) -> Property:
    """Return that numbers which make sense arrive, whatever came before them, and can be shown."""
    runs = expanded()
    job = Job("train", runs[0], RunContext(results=root, cache=root))

    def holds(pieces: Sequence[bytes]) -> bool:
        reading, writing = os.pipe()
        try:
            reader, writer = ProgressReader(reading), ProgressWriter(writing)
            with within_seconds(MOST_SECONDS), RunProgress(Console(file=io.StringIO()), Forecast(runs, 1)) as shown:
                shown.started(job)
                arrived = _all_that_arrives(pieces, reader, writing)
                for done, total in arrived:
                    assert 0 <= done <= total
                    shown.advanced(job, done, total)
                writer(3, 7)
                assert reader.newest() == (3, 7)
            return bool(arrived)
        finally:
            os.close(reading)
            os.close(writing)

    return Property("progress", messages(), holds)


def _all_that_arrives(pieces: Sequence[bytes], reader: ProgressReader, writing: int) -> list[tuple[int, int]]:
    """Write pieces into the pipe, as far as it takes them, read now and then, and empty it at the end."""
    arrived = []
    for piece in pieces:
        with contextlib.suppress(BlockingIOError):
            os.write(writing, piece)
        arrived.append(reader.newest())
    arrived += [reader.newest() for _ in range(PIPE_BYTES // 700)]
    return [numbers for numbers in arrived if numbers is not None]


class _Ended:
    """The handle of a process that has ended."""

    def __init__(self, job: DescribeJob, code: int) -> None:
        self.job, self._code = job, code
        self.sentinel, writing = os.pipe()  # ready to be read, as that of an ended process is
        os.close(writing)

    def poll(self) -> int:
        os.close(self.sentinel)
        return self._code


class _Leaving:
    """A launcher of processes that have ended at once and left something instead of an answer."""

    def __init__(self, left: Leftovers, code: int) -> None:
        self._left, self._code = left, code

    def describe(self, job: DescribeJob) -> _Ended:
        lay(job.scratch, self._left)
        return _Ended(job, self._code)


def _answers(place: Path) -> SearchStrategy[bytes]:
    """Draw answers of a process that describes `lm`."""
    file = read_method_file(submission_path("lm"))
    place.mkdir()
    whole = answer(Inquiry(file.path, file.source), place)
    refusal = Answer(refusal=f"{file.path} defines no subclass of kdbench.api.Method; it needs one")
    texts = [report.model_dump_json().encode() for report in (whole, whole, refusal)]
    return st.sampled_from(texts).flatmap(damaged_json)


def _described(place: Path) -> Property:
    """Return that an answer is a description that can be planned and recorded, or one sentence."""
    file = read_method_file(submission_path("lm"))

    def holds(left_and_code: tuple[Leftovers, int]) -> bool:
        launcher = cast(ForkLauncher, _Leaving(*left_and_code))
        with within_seconds(MOST_SECONDS):
            try:
                (description,) = ConfinedDescriber(launcher, 1)([Inquiry(file.path, file.source)])
            except SubmissionError as error:
                check_message(str(error), (str(file.path),))
                _check_keeps_secret(str(error))
                return False
        _check_description(description)
        runs = expanded(described_submission(file, description))
        assert len({run.run_id for run in runs}) == len(runs)
        return True

    answers = _answers(place)
    whole = st.fixed_dictionaries({ANSWER: answers})
    left = st.one_of(*[whole] * 5, leftovers({}, {ANSWER: answers}))
    return Property("described", st.tuples(left, st.sampled_from(CODES)), holds)


def _check_keeps_secret(message: str) -> None:
    assert SECRET.decode() not in message


def _check_description(description: Description) -> None:
    for text in (description.name, description.summary, description.paper):
        check_message(text or "x", ("",))
    record = a_record(method=description.name, config=description.config)
    assert Record.model_validate_json(record.model_dump_json()).config == description.config


def _confined(place: Path) -> Property:
    """Return that a file which may be run is described by a confined process, or refused in one sentence."""
    place.mkdir()
    describe = ConfinedDescriber(ForkLauncher(DESCRIBE_LIMITS), 1)

    def holds(source: bytes) -> bool:
        path = place / "m.py"
        path.write_bytes(source)
        with within_seconds(MOST_SECONDS_CONFINED):
            try:
                (description,) = describe([Inquiry(path, read_method_file(path).source)])
            except SubmissionError as error:
                check_message(str(error), (path.name,))
                return False
        _check_description(description)
        assert list(place.iterdir()) == [path]
        return True

    sources = [submission_path(name).read_bytes() for name in list_submissions()]
    return Property("confined", damaged_python(sources), holds, heavy=True)
