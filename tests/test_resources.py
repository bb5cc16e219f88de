"""The cache lies where users and their systems want it, or one sentence says how to give it a place."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.resources import cache_folder


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KDBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "folder"),
    [
        ("KDBENCH_CACHE", "/data/cache", "/data/cache"),
        ("KDBENCH_CACHE", "~/arrays", "{home}/arrays"),
        ("KDBENCH_CACHE", "", "{home}/.cache/kdbench"),
        ("XDG_CACHE_HOME", "/data", "/data/kdbench"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    variable: str, value: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert cache_folder() == Path(folder.format(home=tmp_path))


def test_without_a_home_directory_one_sentence_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(number: int) -> None:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(InputError, match=r"no home directory.* HOME.* KDBENCH_CACHE"):
        cache_folder()
