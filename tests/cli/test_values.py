"""Values of options are read, or refused in a sentence that names the option, the value and what is allowed."""

import pytest

from kdbench.cli.values import number, one_of, whole_number
from kdbench.errors import InputError


@pytest.mark.parametrize("text", ["1", "2", "65535"])
def test_a_whole_number_in_its_range_is_read(text: str) -> None:
    assert whole_number("--port", least=1, most=65535)(text) == int(text)


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "1.5", "65536"])
def test_a_whole_number_out_of_its_range_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--port '{text}' is not allowed; give a whole number from 1 to 65535"):
        whole_number("--port", least=1, most=65535)(text)


@pytest.mark.parametrize("text", ["nan", "inf", "0.09", "soon"])
def test_a_number_that_is_not_finite_or_too_small_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--memory-limit '{text}' is not allowed; give a number of at least 0.1"):
        number("--memory-limit", least=0.1)(text)


def test_a_number_is_read() -> None:
    assert number("--memory-limit", least=0.1)("2.5") == 2.5


def test_one_of_several_words_is_read_and_others_are_refused() -> None:
    read = one_of("--device", ("auto", "cpu"))
    assert read("cpu") == "cpu"
    with pytest.raises(InputError, match="--device 'tpu' is not allowed; give one of: auto, cpu"):
        read("tpu")
