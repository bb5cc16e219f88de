"""The cache lies where users want it, or one sentence says how to give it a place; the wheel has official records."""

import tomllib
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.records.official import official_folder
from kdbench.resources import cache_folder

ROOT = Path(__file__).parents[1]


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


def test_the_wheel_carries_the_official_records_where_they_are_looked_for() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    place = official_folder().relative_to(ROOT).as_posix()
    assert wheel["force-include"][place] == f"kdbench/_shipped/{place}"
