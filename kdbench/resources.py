"""Finds the files that are shipped with kdbench, in a checkout or an installed wheel, and the user's cache."""

import os
from pathlib import Path

from kdbench.errors import InputError

VERSION = "1.0.0rc2"
PACKAGE = Path(__file__).parent
_SHIPPED = PACKAGE / "_shipped"
CACHE_VARIABLE = "KDBENCH_CACHE"


def shipped(*parts: str) -> Path:
    """Return the path of a shipped file or folder, for example of `shipped("benchmark", "v1", "spec.toml")`.

    Args:
        *parts: path below the project root (`benchmark`, `datasets` or `leaderboard` first).

    Returns:
        The path in the checkout of this package or, without a checkout, in the installed package. It may not exist.
    """
    root = _SHIPPED if _SHIPPED.is_dir() else PACKAGE.parent
    return root.joinpath(*parts)


def cache_folder() -> Path:
    """Return the folder of built test arrays and downloads: `KDBENCH_CACHE`, else `kdbench` in the user's cache.

    Raises:
        InputError: the user has no home directory.
    """
    try:
        chosen = os.environ.get(CACHE_VARIABLE)
        return Path(chosen).expanduser() if chosen else _user_cache()
    except RuntimeError as error:
        raise InputError(
            "there is no home directory for the cache of test sets and weights; set the environment variable HOME, or "
            f"set {CACHE_VARIABLE} to a folder"
        ) from error


def _user_cache() -> Path:
    from platformdirs import (
        user_cache_path,
    )  # imported here, because drawing synthetic images must work with numpy alone

    folder = user_cache_path("kdbench", appauthor=False)
    if not folder.is_absolute():  # older versions of platformdirs leave `~` in place
        raise RuntimeError(f"{folder} is not absolute")
    return folder
