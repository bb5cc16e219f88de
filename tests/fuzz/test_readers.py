"""Whatever lies in a file, its reader returns a value or says in one sentence what is wrong."""

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.property import Target, check
from tests.fuzz.targets import targets

EXAMPLES = 10  # per target; `python -m tests.fuzz.many` draws more


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return targets(tmp_path_factory.mktemp("fuzz"))


def test_no_file_makes_a_reader_raise_anything_but_a_sentence(readers: dict[str, Target]) -> None:
    logging.getLogger("kdbench").setLevel(logging.ERROR)
    try:
        for target in readers.values():
            _check_many(target)
    finally:
        logging.getLogger("kdbench").setLevel(logging.NOTSET)


def _check_many(target: Target) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(target.damaged)
    def take(content: bytes) -> None:
        check(target, content)

    take()


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
        ("seeds", b"9" * 5000),
    ],
)
def test_what_once_broke_a_reader_is_refused(readers: dict[str, Target], name: str, content: bytes) -> None:
    assert not check(readers[name], content)


def test_a_setting_of_five_thousand_digits_is_shown_in_part(readers: dict[str, Target]) -> None:
    assert not check(readers["config"], b"lm.=" + b"9" * 5000)


def test_the_folders_of_targets_differ(readers: dict[str, Target]) -> None:
    folders = [target.folder for target in readers.values()]
    assert len(set(folders)) == len(folders)
    assert all(isinstance(folder, Path) for folder in folders)
