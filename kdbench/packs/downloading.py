"""Downloads a file, which appears only when it is whole; a download that broke off goes on where it stopped.

A server may be anybody's: it cannot lead a download to a file or to this machine's own servers, and its answer may not
take more room than there is.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request

from kdbench.addresses import is_this_machine, opener_for
from kdbench.errors import InputError, WriteError
from kdbench.files import PIECE_BYTES, atomic_file
from kdbench.resources import VERSION, cache_folder

PARTIAL, VERSION_OF_PART, WHOLE = "partial", "version", "whole"
PATIENCE: Final = 60.0  # seconds without a byte
MOST_BYTES: Final = 64 * 2**30
SPARED_BYTES: Final = 2**28  # of the disk
_NO_SUCH_RANGE: Final = 416
Report = Callable[[int, int | None], object]
"""Is told how many bytes are there, and how many the file has, if the server says so."""


@dataclass(frozen=True)
class KeptPart:
    """What an earlier download left.

    Attributes:
        size: bytes.
        version: what tells the file apart from other ones at its address; empty if that is unknown.
    """

    size: int = 0
    version: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What asks a server for the rest, if the file is still the same."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.version} if self.size and self.version else {}


def is_address(text: str) -> bool:
    """Return whether a text is an address to download from, rather than a path."""
    return re.match(r"https?://", text, re.IGNORECASE) is not None


def folder_for(address: str) -> Path:
    """Return the folder in the cache for the download of an address."""
    return cache_folder() / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16]


def download(address: str, folder: Path, report: Report) -> Path:
    """Return the file at an address, after downloading it, or the rest of it, into a folder.

    Args:
        address: that begins with http:// or https://.
        folder: for this address alone; no other process may use it.
        report: is told of the progress.

    Raises:
        InputError: the server cannot be reached, refuses, or the download broke off. What came is kept.
        WriteError: the folder cannot be written.
    """
    part = _kept_part(folder)
    with _answer(address, part) as answer:
        start = part.size if answer.status == 206 and _begins_at(answer.headers, part.size) else 0
        try:
            _receive(answer, start, address, folder, report)
        except OSError as error:
            raise WriteError.at(folder, error) from error
    return folder / WHOLE


def _kept_part(folder: Path) -> KeptPart:
    """Return what is kept of a download; nothing if it is not known of which version of the file it is."""
    try:
        return KeptPart((folder / PARTIAL).stat().st_size, (folder / VERSION_OF_PART).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return KeptPart()


def _answer(address: str, part: KeptPart) -> HTTPResponse:
    """Return the answer of a server, to a request for the rest of the file where a part of it is kept."""
    try:
        headers = {"User-Agent": f"kdbench/{VERSION}", "Accept-Encoding": "identity", **part.headers}
        opener = opener_for(urlsplit(address).hostname, CarefulRedirects())
        answer: HTTPResponse = opener.open(Request(address, headers=headers), timeout=PATIENCE)
    except HTTPError as error:
        if error.code == _NO_SUCH_RANGE and part.headers:
            return _answer(address, KeptPart())
        reason = f"the server answers {error.code} {error.reason}"
        raise InputError(f"{address} cannot be fetched: {reason}; check the address") from error
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", None) or error
        raise InputError(
            f"{address} cannot be fetched: {cause}; check the address and the connection, and give the same command "
            "again"
        ) from error
    return answer


class CarefulRedirects(HTTPRedirectHandler):
    """Follows a server to another address, but not from the network to this machine, nor away from encryption."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        inwards = is_this_machine(after.hostname) and not is_this_machine(before.hostname)
        if after.scheme not in {"https", before.scheme} or inwards:
            raise ValueError(f"the server leads to {newurl}, where no download may lead")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _begins_at(headers: Message, size: int) -> bool:
    """Return whether an answer is the rest of a file after so many bytes."""
    return headers.get("Content-Range", "").startswith(f"bytes {size}-")


def _receive(answer: HTTPResponse, start: int, address: str, folder: Path, report: Report) -> None:
    """Write an answer into the partial file from a position on, and give the file its name once it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / PARTIAL
    most = min(MOST_BYTES, start + shutil.disk_usage(folder).free - SPARED_BYTES)
    size = _declared_size(answer.headers, start)
    _require_room(size or start, most, address)
    if not start:
        partial.unlink(missing_ok=True)  # before its version is another one
        with atomic_file(folder / VERSION_OF_PART) as file:
            file.write(_version_of(answer.headers).encode())
    with partial.open("ab") as file:
        for piece in _pieces(answer, address):
            _require_room(file.tell() + len(piece), most, address)
            file.write(piece)
            report(file.tell(), size)
        received = file.tell()
    if size is not None and received != size:
        raise _broken_off(address, f"{received} of {size} bytes came")
    partial.replace(folder / WHOLE)


def _version_of(headers: Any) -> str:
    """Return what tells a version of a file apart from others; a weak tag does not tell them apart bit for bit."""
    tag = headers.get("ETag", "")
    return str(tag if tag.startswith('"') else headers.get("Last-Modified", ""))


def _declared_size(headers: Message, start: int) -> int | None:
    """Return how many bytes the whole file has, if the server says so."""
    length = headers.get("Content-Length", "")
    return start + int(length) if re.fullmatch(r"\d{1,18}", length, re.ASCII) else None


def _require_room(size: int, most: int, address: str) -> None:
    if size > most:
        raise InputError(
            f"{address} has {size / 2**30:.1f} GiB or more, and at most {max(0, most) / 2**30:.1f} GiB may be fetched "
            f"into {cache_folder()}; free space, or get the file in another way and give its path"
        )


def _pieces(answer: HTTPResponse, address: str) -> Iterator[bytes]:
    """Yield the bytes of an answer.

    Raises:
        InputError: the connection breaks off.
    """
    try:
        while piece := answer.read(PIECE_BYTES):
            yield piece
    except (OSError, HTTPException, ValueError) as error:
        raise _broken_off(address, str(error) or type(error).__name__) from error


def _broken_off(address: str, reason: str) -> InputError:
    return InputError(
        f"the download of {address} broke off: {reason}; give the same command again, which goes on where the server "
        "allows it"
    )
