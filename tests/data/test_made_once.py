"""Entries that are made once: killed writers leave nothing that is opened, and the folder stays small."""

import os
import time
from collections.abc import Mapping
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from kdbench.data.array_types import AnyArray
from kdbench.data.made_once import ABANDONED_SECONDS, entry_folder, made_once


def numbers(start: int, count: int = 5) -> Mapping[str, AnyArray]:
    return {"numbers": np.arange(start, start + count)}


def opened(folder: Path, start: int, most: int = 3, count: int = 5) -> list[int]:
    values: list[int] = made_once(folder, {"start": start}, lambda: numbers(start, count), most=most)[
        "numbers"
    ].tolist()
    return values


def test_the_entry_that_was_not_opened_for_longest_is_removed(tmp_path: Path) -> None:
    for age, start in enumerate((0, 1, 2)):
        opened(tmp_path, start)
        manifest = entry_folder(tmp_path, {"start": start}) / "manifest.json"
        os.utime(manifest, (time.time() - 100 + age,) * 2)
    opened(tmp_path, 0)
    opened(tmp_path, 3)
    kept = {start for start in range(4) if entry_folder(tmp_path, {"start": start}).exists()}
    assert kept == {0, 2, 3}


def test_what_a_killed_writer_left_is_no_entry_and_goes_after_a_day(tmp_path: Path) -> None:
    left = [entry_folder(tmp_path, {"start": start}) for start in (7, 8)]
    for folder in left:
        folder.mkdir()
        (folder / "numbers.npy").write_bytes(b"half")
    os.utime(left[0], (time.time() - ABANDONED_SECONDS - 60,) * 2)
    assert opened(tmp_path, 1) == [1, 2, 3, 4, 5]
    assert [folder.exists() for folder in left] == [False, True]
    assert opened(tmp_path, 8) == [8, 9, 10, 11, 12]


def write_and_check(folder: Path) -> None:
    for _ in range(20):
        assert opened(folder, 5, most=1, count=20_000)[:2] == [5, 6]
        assert opened(folder, 6, most=1, count=20_000)[:2] == [6, 7]


def test_processes_that_write_and_remove_at_once_all_get_their_arrays(tmp_path: Path) -> None:
    context = get_context("fork")
    writers = [context.Process(target=write_and_check, args=(tmp_path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert sum(1 for _ in tmp_path.rglob("manifest.json")) <= 3
