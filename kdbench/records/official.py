"""Finds the official records that ship with kdbench."""

from pathlib import Path

from kdbench.records.storage import find_records
from kdbench.resources import shipped


def official_folder() -> Path:
    """Return the results folder of the official records; it may be missing or have no records."""
    return shipped("leaderboard", "results")


def official_names() -> frozenset[tuple[str, str]]:
    """Return the track and the folder name of every official record."""
    return frozenset((folder.parent.name, folder.name) for folder in find_records(official_folder()))
