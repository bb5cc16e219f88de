"""Folders as a hostile process may leave them: files with any bytes, and other things in place of files."""

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ODD = (
    *("nothing", "folder", "full folder", "link", "link to itself", "link to a folder", "second name", "pipe"),
    *("socket", "huge", "unreadable"),
)
SECRET = b'{"status": "ok", "reason": "a secret"}'
HUGE_BYTES = 2**40  # of a file without content

Leftovers = Mapping[str, bytes | str]
"""By name, the bytes of a file, or one of `ODD`."""


@st.composite
def leftovers(
    draw: st.DrawFn, whole: Mapping[str, bytes], damages: Mapping[str, SearchStrategy[bytes]]
) -> dict[str, bytes | str]:
    """Draw what lies in a folder: files as they should be, of which some are damaged or something else than a file.

    Args:
        draw: given by Hypothesis.
        whole: by name, the bytes of the files.
        damages: by name, damaged bytes.
    """
    left: dict[str, bytes | str] = dict(whole)
    for name in draw(st.lists(st.sampled_from(sorted(damages)), max_size=3)):
        left[name] = draw(st.sampled_from(ODD)) if draw(st.integers(0, 5)) == 0 else draw(damages[name])
    return left


def lay(folder: Path, left: Leftovers) -> None:
    """Put leftovers into a folder, by their paths in it; what links lead to lies beside the folder."""
    outside = folder.parent / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir(parents=True)
    (outside / "secret").write_bytes(SECRET)
    folder.mkdir(exist_ok=True)
    for name, content in left.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            _lay_odd(path, content, outside)


def _lay_odd(path: Path, what: str, outside: Path) -> None:
    match what:
        case "folder":
            path.mkdir()
        case "full folder":
            (path / ("x" * 200) / "y").mkdir(parents=True)
        case "link":
            path.symlink_to(outside / "secret")
        case "link to itself":
            path.symlink_to(path)
        case "link to a folder":
            path.symlink_to(outside)
        case "second name":
            os.link(outside / "secret", path)
        case "pipe":
            os.mkfifo(path)
        case "socket":
            _lay_socket(path)
        case "huge":
            path.touch()
            os.truncate(path, HUGE_BYTES)
        case "unreadable":
            path.touch(mode=0)


def _lay_socket(path: Path) -> None:
    """Bind a socket; its address must be short, so it is one below the working folder of this process."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(before)


def nothing_outside_changed(folder: Path) -> bool:
    """Return whether what links of a laid folder led to is as it was."""
    outside = folder.parent / "outside"
    return [path.name for path in outside.iterdir()] == ["secret"] and (outside / "secret").read_bytes() == SECRET
