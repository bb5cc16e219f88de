"""MLflow's server on a results folder."""

import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import ProxyHandler, build_opener

import pytest

from kdbench.errors import InputError, KdbenchError
from kdbench.tracking.mirror import mirror
from kdbench.tracking.pages import pages_of
from kdbench.tracking.server import serve
from kdbench.tracking.store import DATABASE
from tests.examples import a_record, store

VIEW = "runs?workflowType=machine_learning&compareRunsMode=CHART"
TRACK_TAG = {"key": "kdbench.kind", "value": "track"}


@contextlib.contextmanager
def a_server(answer: bytes) -> Iterator[str]:
    """Answer every request in the same way; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_serving_a_folder_without_a_mirror_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kdbench track"):
        serve(tmp_path, 5000, say=print)


def test_serving_on_a_port_in_use_is_refused(results: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--port"):
        serve(results, taken.getsockname()[1], say=print)


def test_each_track_has_an_address_that_opens_on_charts_of_its_runs() -> None:
    experiments = [
        {"experiment_id": "3", "name": "synthetic", "tags": [TRACK_TAG]},
        {"experiment_id": "0", "name": "Default"},
        {"experiment_id": "2", "name": "cifar10-32", "tags": [TRACK_TAG]},
    ]
    with a_server(json.dumps({"experiments": experiments}).encode()) as address:
        assert dict(pages_of(f"{address}/")) == {
            "synthetic": f"{address}/#/experiments/3/{VIEW}",
            "cifar10-32": f"{address}/#/experiments/2/{VIEW}",
        }


def test_a_server_without_tracks_is_given_by_its_own_address() -> None:
    for answer in (b"{}", b"no JSON"):
        with a_server(answer) as address:
            assert list(pages_of(address)) == [("", address)]
    assert list(pages_of("http://127.0.0.1:9")) == [("", "http://127.0.0.1:9")]


@pytest.mark.slow
def test_a_store_in_any_folder_is_served_and_mirrored_to_behind_a_proxy(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    folder, other = results / "what? 100%20 ~a,b#c" / "runs", results / "other"
    for place in (folder, other):
        store(place, a_record())
    shutil.copy(results / DATABASE, folder / DATABASE)
    mirror(folder)
    lines: list[str] = []

    def visit_and_stop(line: str) -> None:
        lines.append(line)
        if not line.startswith("MLflow UI of synthetic: "):
            return
        address, _, page = line.rsplit(maxsplit=1)[-1].partition("/#")
        assert "mlflow" in build_opener(ProxyHandler({})).open(address).read().decode().lower()
        assert page.endswith(VIEW)
        for added in (1, 0):
            outcome = mirror(other, address)
            assert (outcome.added, outcome.warning) == (added, "")
        raise KeyboardInterrupt

    serve(folder, _free_port(), say=visit_and_stop)
    assert [line for line in lines if line.startswith("MLflow UI")]


def test_a_store_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_text("this is no database, and never was one" * 100)
    with pytest.raises(KdbenchError, match=r"mlflow.db cannot be used: file is not a database"):
        serve(tmp_path, _free_port(), say=print)


@pytest.mark.slow
def test_a_store_that_the_server_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KdbenchError, match=r"exit code 1; its log is .*mlflow-server.log"):
        serve(tmp_path, _free_port(), "nonsense://store", say=print)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
