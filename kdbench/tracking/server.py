"""Runs the MLflow server for the store of a results folder."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from kdbench.errors import InputError
from kdbench.tracking.store import PRIVACY, database_file, tracking_uri_of

_HOST, _LOG, _START_SECONDS = "127.0.0.1", "mlflow-server.log", 120
_Say = Callable[[str], None]


def serve(results: Path, port: int, tracking_uri: str | None = None, *, say: _Say) -> int:
    """Run the MLflow server for a results folder until it is stopped.

    Args:
        results: folder of records.
        port: TCP port on this machine.
        tracking_uri: an MLflow store; see `tracking_uri_of`.
        say: prints a line; it is called with the address when the server answers.

    Returns:
        The exit code of the server.

    Raises:
        InputError: nothing has been mirrored yet, or the port is taken.
    """
    uri = tracking_uri_of(results, tracking_uri)
    if uri.startswith(("http://", "https://")):
        say(f"the records are mirrored to a running MLflow server: {uri}")
        return 0
    _check_mirrored(results, uri)
    _check_free(port)
    results.mkdir(parents=True, exist_ok=True)
    with (results / _LOG).open("ab") as log:
        server = subprocess.Popen(_command(uri, port), stdout=log, stderr=log, env=os.environ | PRIVACY)
        return _watch(server, f"http://{_HOST}:{port}", results / _LOG, say)


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


def _watch(server: subprocess.Popen[bytes], address: str, log: Path, say: _Say) -> int:
    """Print the address when the server answers, then wait until it ends; Ctrl-C ends it."""
    try:
        if _answers(server, address):
            say(f"MLflow UI: {address} (Ctrl-C ends it)")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        if server.wait() > 0:
            say(f"the MLflow server ended with an error; its log is {log}")


def _answers(server: subprocess.Popen[bytes], address: str) -> bool:
    """Wait until the server answers; return False if it has ended or if `_START_SECONDS` have passed."""
    direct = build_opener(ProxyHandler({}))  # a proxy does not know this machine's own addresses
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with direct.open(f"{address}/health", timeout=2):
                return True
        except (URLError, OSError):
            time.sleep(0.3)
    return False
