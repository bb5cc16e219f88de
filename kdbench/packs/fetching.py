"""Merges a pack that lies elsewhere: at a path or at an address on the network."""

import hashlib
import shutil
from pathlib import Path

from kdbench.errors import InputError
from kdbench.jobs.lock import sole_user
from kdbench.packs.downloading import PARTIAL, WHOLE, Report, download, folder_for, is_address
from kdbench.packs.merging import Merged, merge
from kdbench.spec import Spec


def fetch(source: str, results: Path, spec: Spec, report: Report, *, sha256: str | None = None) -> Merged:
    """Merge the pack at a path or at an address into a results folder.

    Args:
        source: the path, or an address that begins with http:// or https://. A download is removed at the end.
        results: the folder; it is made if there is none. No run may be under way in it.
        spec: of the tracks.
        report: is told of the progress of a download.
        sha256: of the pack, in lower case; None to take any.

    Raises:
        InputError: the pack cannot be had, has another digest, or cannot be merged.
        WriteError: the results folder or the cache cannot be written.
    """
    if not is_address(source):
        if "://" in source:
            raise InputError(f"{source} cannot be fetched; give an address with http:// or https://, or a path")
        return _merge_checked(Path(source), source, results, spec, sha256)
    if results.exists():
        with sole_user(results):  # rather than to find out after a long download that another command writes there
            pass
    folder = folder_for(source)
    with sole_user(folder):
        try:
            return _merge_checked(download(source, folder, report), source, results, spec, sha256)
        except InputError as error:
            raise InputError(str(error).replace(str(folder / WHOLE), source)) from error
        finally:
            if not (folder / PARTIAL).exists():
                shutil.rmtree(folder, ignore_errors=True)


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
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"pack {path} cannot be read: {error.strerror or error}; give another file") from error
