"""Results folders with an MLflow store in them."""

import shutil
from pathlib import Path

import pytest

from kdbench.tracking.mirror import mirror
from kdbench.tracking.store import DATABASE


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database; making one takes seconds, so tests copy it."""
    folder = tmp_path_factory.mktemp("mlflow")
    mirror(folder)
    return folder / DATABASE


@pytest.fixture
def results(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty results folder with an empty MLflow store in it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / DATABASE)
    return tmp_path
