"""Lets the MLflow store of a results folder move with the folder.

MLflow keeps the absolute address of every run's artifacts in its database. Those below the folder are set anew when it
lies elsewhere than at the last time; whatever else the database holds stays as it is.
"""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

from kdbench.tracking.store import ARTIFACTS, DATABASE


def artifacts_of(results: Path, track: str) -> str:
    """Return the address of a track's artifacts in the store of a results folder."""
    return (results.resolve() / ARTIFACTS / track).as_uri()


def relocate(results: Path) -> None:
    """Point the store of a results folder to the artifacts that lie in the folder, if it pointed elsewhere.

    Raises:
        sqlite3.Error: the database cannot be read or written.
    """
    path = results / DATABASE
    if not path.is_file():
        return
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return
        query = "SELECT experiment_id, name, artifact_location FROM experiments"
        for experiment, track, location in database.execute(query).fetchall():
            wanted = artifacts_of(results, track)
            if location != wanted and str(location).endswith(f"/{ARTIFACTS}/{quote(track)}"):
                _move(database, experiment, location, wanted)


def _move(database: sqlite3.Connection, experiment: int, location: str, wanted: str) -> None:
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (wanted, experiment))
    database.execute(
        "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) "
        "WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
        (wanted, len(location) + 1, experiment, len(location) + 1, f"{location}/"),
    )
