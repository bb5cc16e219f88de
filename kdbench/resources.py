"""Finds the files that ship with kdbench, in a checkout and in an installed wheel alike, and the user's cache."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
_SHIPPED = _PACKAGE / "_shipped"


def shipped(*parts: str) -> Path:
    """Path of a shipped file or folder, for example `shipped("benchmark", "v1", "spec.toml")`.

    Args:
        *parts: path below the project root (`benchmark`, `datasets` or `leaderboard` first).

    Returns:
        The path in the checkout that this package lies in, else inside the installed package. It may not exist.
    """
    root = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
    return root.joinpath(*parts)


def cache_folder() -> Path:
    """Where built test arrays and downloads are kept: `KDBENCH_CACHE`, or `kdbench` in the user's cache folder."""
    if "KDBENCH_CACHE" in os.environ:
        return Path(os.environ["KDBENCH_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdbench"
