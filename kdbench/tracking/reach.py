"""Asks an MLflow store for a sign of life, so that nobody waits long for one that is down, locked or slow."""

import contextlib
import socket
import sqlite3
from threading import Thread
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit

from kdbench.addresses import opener_for
from kdbench.tracking.store import database_file

_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}


def why_unreachable(uri: str, seconds: float) -> str:
    """Return why an MLflow store does not answer in time, as the end of a sentence; empty if it answers.

    Args:
        uri: of the store.
        seconds: to wait at most, whatever the store, a name server or a proxy does.
    """
    reasons = [_late(seconds)]

    def ask() -> None:
        reasons.append(_problem(uri, seconds))

    waiting = Thread(target=ask, daemon=True)
    waiting.start()
    waiting.join(seconds)
    return reasons[-1]


def _problem(uri: str, seconds: float) -> str:
    database, address = database_file(uri), urlsplit(uri)
    try:
        if database is not None:
            _lock(database.as_uri(), seconds) if database.is_file() else None
        elif address.scheme in ("http", "https"):
            _visit(uri, address, seconds)
        elif address.hostname and (port := address.port or _DEFAULT_PORTS.get(address.scheme.partition("+")[0])):
            socket.create_connection((address.hostname, port), timeout=seconds).close()
    except (URLError, OSError, ValueError, sqlite3.Error) as error:
        reason = getattr(error, "reason", error)
        return _late(seconds) if isinstance(reason, TimeoutError) else f"does not answer ({reason})"
    return ""


def _late(seconds: float) -> str:
    return f"did not answer within {seconds:g} s"


def _lock(database: str, seconds: float) -> None:
    """Raise sqlite3.OperationalError if another program keeps a database locked."""
    with contextlib.closing(sqlite3.connect(f"{database}?mode=rw", uri=True, timeout=seconds)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _visit(uri: str, address: SplitResult, seconds: float) -> None:
    """Raise OSError if a server does not answer; any answer will do."""
    with (
        contextlib.suppress(HTTPError),
        opener_for(address.hostname).open(f"{uri.rstrip('/')}/health", timeout=seconds),
    ):
        pass
