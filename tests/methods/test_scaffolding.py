"""`kdbench new` writes files that are complete, and never over others."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.methods.loading import load_submission
from kdbench.methods.scaffolding import write_method
from tests.command_line import Command, assert_refused


@pytest.mark.parametrize("kind", ["loss", "step", "prepare"])
def test_a_new_method_is_loaded_under_its_name(kind: str, tmp_path: Path) -> None:
    file, test = write_method(f"my-{kind}", kind, tmp_path)
    method = load_submission(file)
    assert (method.name, method.__name__) == (f"my-{kind}", f"My{kind.capitalize()}")
    assert test.name == f"test_my_{kind}.py"
    assert "$" not in file.read_text() + test.read_text()


@pytest.mark.parametrize("name", ["", "My", "../up", "a b", "teacher", "x" * 61, "-x"])
def test_a_name_that_no_method_may_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not allowed as the name of a method"):
        write_method(name, "loss", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_name_that_begins_with_a_digit_gives_a_class(tmp_path: Path) -> None:
    assert load_submission(write_method("3d", "loss", tmp_path)[0]).__name__ == "Method3d"


def test_a_file_that_exists_is_kept(kdbench: Command, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("mine")
    assert_refused(kdbench("new", "own", f"--folder={tmp_path}"), "test_own.py exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["test_own.py"]
    assert_refused(kdbench("new", "own", "--kind=other"), "--kind 'other' is not allowed")
