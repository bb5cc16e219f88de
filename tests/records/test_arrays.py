"""Arrays of many test sets are stored joined end to end, come back bit by bit, and a damaged file is refused."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kdbench.files import DAMAGES
from kdbench.records.arrays import JoinedArrays, read_joined
from tests.fuzz.mutations import damaged_npz

Arrays = dict[str, NDArray[Any]]
JOINED: Arrays = {
    "test_sets": np.array(["clean", "shape"]),
    "images": np.array([3, 2]),
    "label": np.arange(5, dtype=np.int16),
    "kl": np.linspace(0, 1, 5, dtype=np.float32),
}


def written(arrays: Arrays) -> io.BytesIO:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    file.seek(0)
    return file


@given(
    images=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    kind=st.sampled_from(("<i2", "<i4", "<f4", "<f8")),
    rows=st.none() | st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_arrays_come_back_bit_by_bit_in_their_order(images: list[int], kind: str, rows: int | None, seed: int) -> None:
    random = np.random.default_rng(seed)

    def array(size: int) -> NDArray[Any]:
        values = np.frombuffer(random.bytes((rows or 1) * size * np.dtype(kind).itemsize), kind)
        return values.reshape(size if rows is None else (rows, size))

    by_set: dict[str, Arrays] = {
        f"set-{place}": {"label": array(size), "kl": array(size)} for place, size in enumerate(images)
    }
    file = io.BytesIO()
    JoinedArrays.of(by_set, images_from="label").write(file)
    file.seek(0)
    read = read_joined(file, ["label", "kl"]).by_set()
    assert list(read) == list(by_set)
    for name, arrays in by_set.items():
        for key, expected in arrays.items():
            assert (read[name][key].dtype, read[name][key].shape) == (expected.dtype, expected.shape)
            assert read[name][key].tobytes() == expected.tobytes()


def test_a_file_has_one_array_per_key_however_many_test_sets_there_are() -> None:
    file = io.BytesIO()
    of_a_set: Arrays = {"label": np.zeros(3, np.int16), "kl": np.zeros(3)}
    JoinedArrays.of({f"set-{place}": of_a_set for place in range(50)}, images_from="label").write(file)
    file.seek(0)
    with np.load(file) as stored:
        assert sorted(stored.files) == ["images", "kl", "label", "test_sets"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": np.zeros(4, np.int16)}, "label has the shape (4,), but there are 5 images"),
        ({"label": np.array(5)}, "label has the shape (), but there are 5 images"),
        ({"test_sets": np.array(["clean", "clean"])}, "name a test set twice"),
        ({"images": np.array([6, -1])}, "or give one a negative number of images"),
        ({"images": np.array([3.0, 2.0])}, "are not a list of names and a list of as many whole numbers"),
        ({"images": np.array([5])}, "are not a list of names and a list of as many whole numbers"),
        ({"test_sets": np.arange(2)}, "are not a list of names and a list of as many whole numbers"),
        ({"test_sets": np.array([b"a", b"b"])}, "are not a list of names and a list of as many whole numbers"),
        ({"images": np.array([2**62, 2**62])}, f"but there are {2**63} images"),
    ],
)
def test_arrays_that_do_not_fit_their_list_of_sets_are_refused(changes: Arrays, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        read_joined(written(JOINED | changes), ["label", "kl"])
    assert reason in str(caught.value)


@pytest.mark.parametrize("key", JOINED)
def test_a_missing_array_and_a_pickle_are_refused(key: str) -> None:
    with pytest.raises(LookupError):
        read_joined(written({name: array for name, array in JOINED.items() if name != key}), ["label", "kl"])
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_joined(written(JOINED | {key: np.array([{"a": 1}, None], dtype=object)}), ["label", "kl"])


@given(damaged_npz(JOINED))
def test_a_damaged_file_is_refused_or_holds_as_many_numbers_as_images(content: bytes) -> None:
    try:
        joined = read_joined(io.BytesIO(content), ["label", "kl"])
    except DAMAGES:
        return
    assert {array.shape[-1] for array in joined.arrays.values()} == {sum(joined.images.values())}
    assert all(
        part["label"].shape[-1] == joined.images[name] == part["kl"].shape[-1] for name, part in joined.by_set().items()
    )
