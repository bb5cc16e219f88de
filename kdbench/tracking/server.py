"""Runs the MLflow server for the store of a results folder."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from kdbench.addresses import opener_for
from kdbench.errors import InputError, KdbenchError
from kdbench.tracking.moving import relocate
from kdbench.tracking.pages import pages_of
from kdbench.tracking.store import DATABASE, PRIVACY, database_file, own_store_of, tracking_uri_of, without_proxies_here

_HOST, _LOG, _SLOW_SECONDS = "127.0.0.1", "mlflow-server.log", 30
_ALONE = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # jobs are for traces, and slow down the start
_Say = Callable[[str], None]


def serve(results: Path, port: int, tracking_uri: str | None = None, *, say: _Say) -> None:
    """Run the MLflow server for a results folder until it is stopped.

    Args:
        results: folder of records.
        port: TCP port on this machine.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        say: prints a line; it is called with the address of each track's runs when the server answers.

    Raises:
        InputError: nothing has been mirrored yet, or the port is taken.
        KdbenchError: the store is damaged, or the server ended with an error.
    """
    uri = tracking_uri_of(results, tracking_uri)
    if uri.startswith(("http://", "https://")):
        say(f"the records are mirrored to a running MLflow server: {uri}")
        _tell_pages(uri, say)
        return
    _check_mirrored(results, uri)
    _check_free(port)
    results.mkdir(parents=True, exist_ok=True)
    if uri == own_store_of(results):
        _relocate(results)
    environment = os.environ | PRIVACY | _ALONE | without_proxies_here(os.environ)
    with (results / _LOG).open("ab") as log:
        server = subprocess.Popen(_command(uri, port), stdout=log, stderr=log, env=environment)
        _watch(server, f"http://{_HOST}:{port}", results / _LOG, say)


def _relocate(results: Path) -> None:
    try:
        relocate(results)
    except sqlite3.Error as error:
        raise KdbenchError(f"the MLflow store {results / DATABASE} cannot be used: {error}") from error


def _check_mirrored(results: Path, uri: str) -> None:
    database = database_file(uri)
    if database is not None and not database.is_file():
        raise InputError(
            f"the records in {results} are not mirrored yet ({database} is missing); "
            f"mirror them with `kdbench track {results}`"
        )


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex((_HOST, port)) == 0:
            raise InputError(f"port {port} is in use; choose another port with --port")


def _command(uri: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    return [*command, "--workers", "1", "--host", _HOST, "--port", str(port)]


def _watch(server: subprocess.Popen[bytes], address: str, log: Path, say: _Say) -> None:
    """Print the addresses when the server answers, then wait until it ends; Ctrl-C ends it."""
    try:
        if _answers(server, address, say):
            _tell_pages(address, say)
            say("Ctrl-C ends the server")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        code = server.wait()
    if code > 0:
        raise KdbenchError(f"the MLflow server ended with exit code {code}; its log is {log}")


def _tell_pages(address: str, say: _Say) -> None:
    for track, page in pages_of(address):
        say(f"MLflow UI{f' of {track}' if track else ''}: {page}")


def _answers(server: subprocess.Popen[bytes], address: str, say: _Say) -> bool:
    """Wait until the server answers; return False if it has ended."""
    opener, started, announced = opener_for(urlsplit(address).hostname), time.monotonic(), False
    while server.poll() is None:
        try:
            with opener.open(f"{address}/health", timeout=2):
                return True
        except (URLError, OSError):
            time.sleep(0.3)
        if not announced and time.monotonic() > started + _SLOW_SECONDS:
            say("the MLflow server is still starting; its address follows")
            announced = True
    return False
