"""The fast reader of arrays gives what NumPy gives, of whole files and of damaged ones."""

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.files import DAMAGES
from kdbench.records.arrays import read_array
from tests.fuzz.mutations import damaged_npz, npy_members

Arrays = dict[str, NDArray[Any]]
ROWS: Arrays = {"a": np.arange(-3, 4, dtype=np.int16), "b": np.linspace(0, 1, 5, dtype=np.float32), "c": np.arange(0)}
OTHERS: Arrays = {
    "flag": np.array([True, False]),
    "number": np.array(2.5),
    "table": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">i4"),
    "long": np.arange(70_000),
    "text": np.array(["a", "bc"]),
}


def outcome(read: Callable[[Any, str], NDArray[Any]], content: bytes, name: str) -> tuple[object, ...]:
    """Return all that can be seen of an array that is read from an npz file, or of the error."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            array = read(arrays, name)
    except DAMAGES as error:
        return type(error), re.sub("at 0x[0-9a-f]+", "", str(error))
    if isinstance(array, bytes):
        return (array,)
    return array.tobytes(), array.dtype, array.shape, array.strides, array.flags.writeable


def assert_read_alike(content: bytes, name: str) -> None:
    assert outcome(read_array, content, name) == outcome(lambda arrays, key: arrays[key], content, name)


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize("name", [*ROWS, *OTHERS, "missing"])
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_every_kind_of_array_is_read_as_numpy_reads_it(write: Callable[..., None], name: str) -> None:
    file = io.BytesIO()
    write(file, **ROWS, **OTHERS)
    assert_read_alike(file.getvalue(), name)


@given(damaged_npz(ROWS), st.sampled_from(list(ROWS)))
def test_a_damaged_file_is_read_or_refused_as_numpy_does(content: bytes, name: str) -> None:
    assert_read_alike(content, name)


def test_a_member_without_suffix_hides_the_array_of_its_name() -> None:
    assert_read_alike(archive({**npy_members(ROWS), "a": b"other"}), "a")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 100, 127, 128, 130, 5000])
def test_a_member_of_another_length_than_its_header_tells_is_read_alike(size: int, method: int) -> None:
    member = npy_members({"a": np.arange(500)})["a.npy"].ljust(5000, b"x")[:size]
    assert_read_alike(archive({"a.npy": member}, method), "a")


def test_a_header_that_is_cut_short_is_refused_alike() -> None:
    header = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<i2', 'fortran_order': False, 'shape': (0,), }\n"
    assert_read_alike(archive({"a.npy": header}), "a")


@pytest.mark.parametrize("shape", ["-1", "007", "99999999999999999999", "1, 2", "True"])
def test_an_odd_shape_is_read_or_refused_alike(shape: str) -> None:
    header = f"{{'descr': '<i2', 'fortran_order': False, 'shape': ({shape},), }}".ljust(117) + "\n"
    member = b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + bytes(20)
    assert_read_alike(archive({"a.npy": member}), "a")
