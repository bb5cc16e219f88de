"""Whatever is read, the harness returns a value or says in one sentence what is wrong."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.images import CLASSES, as_parquet, encoded_image
from tests.fuzz.mutations import npy_members
from tests.fuzz.property import Property
from tests.fuzz.targets import properties, targets

EXAMPLES, HEAVY_EXAMPLES = 10, 2  # per property; `python -m tests.fuzz.many` draws more


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Property]:
    return properties(tmp_path_factory.mktemp("fuzz"))


def test_no_input_breaks_what_must_hold(tried: dict[str, Property]) -> None:
    logging.getLogger("kdbench").setLevel(logging.ERROR)
    try:
        numbers = {name: _inputs_that_hold(each) for name, each in tried.items()}
    finally:
        logging.getLogger("kdbench").setLevel(logging.NOTSET)
    assert [name for name, number in numbers.items() if number == 0] == []


def _inputs_that_hold(tried: Property) -> int:
    """Draw inputs of a property, and return for how many it holds; raise what breaks it for another."""
    number = 0
    examples = HEAVY_EXAMPLES if tried.heavy else EXAMPLES

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(tried.inputs)
    def take(given_input: object) -> None:
        nonlocal number
        tried.holds(given_input)
        number += 1

    take()
    return number


@settings(max_examples=30)
@given(st.text(max_size=5000))
def test_a_message_is_one_printable_line_of_a_limited_length(text: str) -> None:
    from kdbench.errors import KdbenchError
    from tests.fuzz.property import check_message

    check_message(str(KdbenchError(f"x{text}")), ("x",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("record", b'{"\\u001b[31m": 1}'),
        ("timings", b"[" * 20_000),
        ("timings", b'{"benchmarks": [{"extra_info": {}, "stats": {"median": "x"}}]}'),
        ("spec", b"version = " + b"9" * 5000),
        ("spec", b"version = " + b"[" * 20_000),
        ("controls", b"a = " + b"[" * 20_000),
        ("method", b"-" * 20_000 + b"1"),
        ("method", b"a" + b".b" * 20_000),
        ("pth", b"QK\x03\x04\x00\x00."),
        (
            "array",
            b"\x93NUMPY\x01\x00R\x00{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999999999,), }",
        ),
        ("array", npy_members({"index": np.zeros(4, "<M8[s]")})["index.npy"]),
        ("seeds", b"9" * 5000),
        ("seeds", b"9" * 30),
    ],
)
def test_what_once_broke_a_reader_is_refused(tried: dict[str, Property], name: str, content: bytes) -> None:
    assert not tried[name].holds(content)


def test_an_image_that_claims_to_be_huge_is_refused(tried: dict[str, Property]) -> None:
    claims = b"GIF87a\xff\xff\xff\xff\x80\0\0" + bytes(6) + b",\0\0\0\0\xff\xff\xff\xff\0\x08\0;"
    assert not tried["png"].holds(claims)


def test_class_names_that_are_not_texts_are_refused_and_deep_ones_are_none(tried: dict[str, Property]) -> None:
    cells = [encoded_image(np.zeros((32, 32, 3), np.uint8))] * CLASSES
    assert tried["parquet"].holds(as_parquet(cells, range(CLASSES), {"huggingface": "[" * 20_000}))
    numbers = '{"info": {"features": {"label": {"names": [1, []]}}}}'
    assert not tried["parquet"].holds(as_parquet(cells, range(CLASSES), {"huggingface": numbers}))


def test_a_checkpoint_without_a_random_state_is_damaged(tried: dict[str, Property], tmp_path: Path) -> None:
    torch.save({"random": {"cpu": torch.zeros(5056, dtype=torch.uint8)}}, tmp_path / "checkpoint.pt")
    assert not tried["checkpoint"].holds((tmp_path / "checkpoint.pt").read_bytes())


def test_a_setting_of_five_thousand_digits_is_shown_in_part(tried: dict[str, Property]) -> None:
    assert not tried["config"].holds(b"lm.=" + b"9" * 5000)


def test_the_folders_of_targets_differ(tmp_path: Path) -> None:
    folders = [target.folder for target in targets(tmp_path)]
    assert len(set(folders)) == len(folders)
