"""Progress is numbers that make sense, whatever comes through the pipe, and nobody waits for it."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdbench.jobs.progress_pipe import ProgressReader, ProgressWriter

Ends = tuple[int, int]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The reading and the writing end of a pipe."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_the_newest_numbers_arrive(ends: Ends) -> None:
    reader, writer = ProgressReader(ends[0]), ProgressWriter(ends[1])
    assert reader.newest() is None
    writer(1, 10)
    writer(2, 10)
    assert reader.newest() == (2, 10)
    assert reader.newest() is None


def test_a_writer_never_waits_for_a_reader(ends: Ends) -> None:
    writer = ProgressWriter(ends[1])
    started = time.monotonic()
    for done in range(100_000):
        writer(done, 100_000)
    assert time.monotonic() - started < 30  # a write that waits would never end: nobody reads


def test_numbers_that_make_no_sense_are_dropped(ends: Ends) -> None:
    reader, writer = ProgressReader(ends[0]), ProgressWriter(ends[1])
    for done, total in ((3, 2), (0, 0), (-1, 4), (2**40, 2**41)):
        writer(done, total)
        assert reader.newest() is None


@given(st.binary(max_size=300))
def test_any_bytes_give_numbers_or_nothing(garbage: bytes) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, garbage)
        newest = ProgressReader(reading).newest()
        assert newest is None or 0 <= newest[0] <= newest[1]
    finally:
        os.close(reading)
        os.close(writing)
