"""The artifacts of a store that was moved or copied with its folder."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from kdbench.tracking.mirror import mirror
from kdbench.tracking.moving import relocate
from kdbench.tracking.store import DATABASE
from tests.examples import a_record, store
from tests.tracking.mirrored import artifacts_of, runs_of


def test_a_copied_store_shows_the_artifacts_of_the_copy(
    results: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store(results, a_record())
    mirror(results)
    copied = tmp_path_factory.mktemp("elsewhere") / "runs"
    shutil.copytree(results, copied)
    relocate(copied)
    for folder in (results, copied):
        (run,) = runs_of(folder, "record")
        assert run.info.artifact_uri.startswith(f"{folder.as_uri()}/mlflow-artifacts/synthetic/")
        assert "result.json" in artifacts_of(folder, run)


def test_what_other_programs_keep_in_the_store_is_left_as_it_is(results: Path) -> None:
    with contextlib.closing(sqlite3.connect(results / DATABASE)) as database, database:
        columns = "(name, artifact_location, lifecycle_stage)"
        database.execute(f"INSERT INTO experiments {columns} VALUES ('mine', 's3://bucket/mine', 'active')")
    relocate(results)
    with contextlib.closing(sqlite3.connect(results / DATABASE)) as database:
        query = "SELECT artifact_location FROM experiments WHERE name = 'mine'"
        assert database.execute(query).fetchall() == [("s3://bucket/mine",)]


def test_a_folder_without_a_store_gets_none(tmp_path: Path) -> None:
    relocate(tmp_path)
    assert list(tmp_path.iterdir()) == []
