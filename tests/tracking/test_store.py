"""Which MLflow store a results folder is mirrored to."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kdbench.tracking.mirror import mirror
from kdbench.tracking.store import DATABASE, database_file, tracking_uri_of
from tests.examples import a_record, store
from tests.tracking.mirrored import artifacts_of, runs_of


def test_the_environment_names_another_store(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(results / DATABASE, tmp_path / "elsewhere.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
    store(results, a_record())
    assert mirror(results).uri.endswith("elsewhere.db")
    assert len(runs_of(results, "record")) == 1
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert MlflowClient(tracking_uri=tracking_uri_of(results)).get_experiment_by_name("synthetic") is None


@pytest.mark.parametrize("name", ["what? 100%", "a%20b", "a#b ü", "~", "~root, a;b&c=d", "a+b @:1"])
def test_the_store_lies_in_its_folder_whatever_that_is_called(results: Path, empty_database: Path, name: str) -> None:
    folder = results / name / "runs"
    store(folder, a_record())
    shutil.copy(empty_database, folder / DATABASE)
    assert mirror(folder).warning == ""
    (run,) = runs_of(folder, "record")
    assert "result.json" in artifacts_of(folder, run)
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)
    assert database_file(tracking_uri_of(folder)) == folder / DATABASE


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://user@host/name"])
def test_other_stores_than_sqlite_have_no_database_file(uri: str) -> None:
    assert database_file(uri) is None
