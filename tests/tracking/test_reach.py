"""MLflow stores that are down, locked, deaf, or behind a proxy."""

import contextlib
import os
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest
from requests.utils import should_bypass_proxies

from kdbench.tracking.mirror import mirror
from kdbench.tracking.reach import why_unreachable
from kdbench.tracking.store import DATABASE, quiet_mlflow, without_proxies_here
from tests.examples import a_record, store
from tests.tracking.mirrored import runs_of

PATIENCE = 1.0


@pytest.fixture
def deaf_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_nobody_waits_longer_than_a_second_for_a_server_that_never_answers(results: Path, deaf_server: str) -> None:
    store(results, a_record())
    started = monotonic()
    reason = why_unreachable(deaf_server, PATIENCE)
    assert monotonic() < started + PATIENCE + 0.5
    outcome = mirror(results, deaf_server, patience=PATIENCE)
    assert outcome.warning.startswith(f"MLflow at {deaf_server} {reason}; no record is lost: mirror later with")
    assert mirror(results).added == 1


def test_a_server_that_is_down_is_noticed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for scheme in ("http", "https", "postgresql", "mysql+pymysql"):
        assert "refused" in why_unreachable(f"{scheme}://127.0.0.1:{port}/x", PATIENCE)


def test_a_server_that_answers_anything_is_there(deaf_server: str) -> None:
    assert why_unreachable(deaf_server.replace("http", "postgresql"), PATIENCE) == ""


def test_a_locked_database_is_left_alone_and_caught_up_with_later(results: Path) -> None:
    store(results, a_record())
    with contextlib.closing(sqlite3.connect(results / DATABASE)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = monotonic()
        outcome = mirror(results, patience=PATIENCE)
        assert monotonic() < started + PATIENCE + 2
    assert outcome.added == 0
    assert "locked" in outcome.warning or "within 1 s" in outcome.warning
    for added in (1, 0):
        assert mirror(results).added == added
    assert len(runs_of(results, "record")) == 1


def test_a_database_that_is_not_there_yet_is_no_reason_to_wait(tmp_path: Path) -> None:
    assert why_unreachable(f"sqlite:///{tmp_path / 'new.db'}", PATIENCE) == ""
    assert not (tmp_path / "new.db").exists()


def test_no_proxy_is_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.delenv("NO_PROXY", raising=False)
    addresses = ("http://127.0.0.1:5000", "http://127.0.0.2:5000", "http://localhost:5000", "http://[::1]:5000")
    with quiet_mlflow():
        assert all(should_bypass_proxies(address, None) for address in (*addresses, "http://example.org"))
        assert not should_bypass_proxies("http://mlflow.example.com", None)
    assert (os.environ["no_proxy"], os.environ.get("NO_PROXY")) == ("example.org", None)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_the_hosts_that_a_user_spares_stay_spared(name: str) -> None:
    spared = without_proxies_here({name: "example.org"})
    assert all(value.startswith("example.org,localhost,") for value in spared.values())
