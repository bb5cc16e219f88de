"""Merges a pack that lies elsewhere: at a path or at an address on the network."""

import re
import sys
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pooch

from kdbench.addresses import is_this_machine
from kdbench.errors import InputError, describe_error
from kdbench.files import file_sha256
from kdbench.jobs.lock import sole_user
from kdbench.packs.merging import Merged, merge
from kdbench.resources import cache_folder
from kdbench.spec import Spec

PATIENCE: Final = 60.0  # seconds without a byte from a server
WITHOUT_PROXIES: Final = {"http": "", "https": ""}


def fetch(source: str, results: Path, spec: Spec, *, sha256: str | None = None) -> Merged:
    """Merge the pack at a path or at an address into a results folder.

    Args:
        source: the path, or an address that begins with http:// or https://. A download is removed at the end.
        results: the folder; it is made if there is none. No run may be under way in it.
        spec: of the tracks.
        sha256: of the pack, in lower case; None to take any.

    Raises:
        InputError: the pack cannot be had, has another digest, or cannot be merged.
        WriteError: the results folder cannot be written.
    """
    if not re.match(r"https?://", source, re.IGNORECASE):
        if "://" in source:
            raise InputError(f"{source} cannot be fetched; give an address with http:// or https://, or a path")
        return _merge_checked(Path(source), source, results, spec, sha256)
    if results.exists():
        with sole_user(results):  # rather than to find out after a long download that another command writes there
            pass
    with tempfile.TemporaryDirectory(dir=_downloads(), prefix=".fetching-") as folder:
        path = _download(source, Path(folder))
        try:
            return _merge_checked(path, source, results, spec, sha256)
        except InputError as error:
            raise InputError(str(error).replace(str(path), source)) from error


def _downloads() -> Path:
    """Return the cache, which has room for large files."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}; fetch the pack and give its path") from error
    return folder


def _download(address: str, folder: Path) -> Path:
    """Return the file at an address, after downloading it; a proxy does not know this machine's own addresses."""
    pooch.get_logger().setLevel("WARNING")
    try:
        settings = {"proxies": WITHOUT_PROXIES} if is_this_machine(urlsplit(address).hostname) else {}
        client = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=PATIENCE, **settings)
        return Path(pooch.retrieve(address, known_hash=None, fname="pack.zip", path=folder, downloader=client))
    except Exception as error:  # the client raises errors of many types
        raise InputError(
            f"{address} cannot be fetched: {describe_error(error)}; check the address and the connection, and give the "
            "same command again"
        ) from error


def _merge_checked(path: Path, source: str, results: Path, spec: Spec, sha256: str | None) -> Merged:
    """Merge a pack, after comparing its digest."""
    if sha256 is not None and (actual := _sha256_of(path)) != sha256:
        raise InputError(
            f"{source} has the sha256 {actual}, and --sha256 is {sha256}; ask whoever gave you the digest for "
            "the pack that it belongs to"
        )
    return merge(path, results, spec)


def _sha256_of(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"pack {path} cannot be read: {error.strerror or error}; give another file") from error
