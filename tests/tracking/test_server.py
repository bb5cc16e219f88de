"""MLflow's server on a results folder."""

import socket
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from kdbench.errors import InputError
from kdbench.tracking.server import serve


def test_serving_a_folder_without_a_mirror_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kdbench track"):
        serve(tmp_path, 5000, say=print)


def test_serving_on_a_port_in_use_is_refused(results: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="--port"):
        serve(results, taken.getsockname()[1], say=print)


@pytest.mark.slow
def test_the_server_answers_at_the_address_it_tells_behind_a_proxy(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    pages: list[str] = []

    def visit_and_stop(line: str) -> None:
        address = line.split()[2]
        pages.append(build_opener(ProxyHandler({})).open(address).read().decode())
        raise KeyboardInterrupt

    assert serve(results, _free_port(), say=visit_and_stop) == 0
    assert "mlflow" in pages[0].lower()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
