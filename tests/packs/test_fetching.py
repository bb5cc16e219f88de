"""A pack from elsewhere is merged like any other, and nothing of the download stays."""

import hashlib
from pathlib import Path

import pytest

from kdbench.jobs.lock import sole_user
from kdbench.records import WEIGHTS, find_records
from tests.command_line import Command, assert_refused
from tests.packs.results_folders import TRACK, files_of, rewritten, teacher_of
from tests.packs.servers import serving


@pytest.fixture(autouse=True)
def _cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))


def test_a_fetched_pack_is_a_merged_one(kdbench: Command, tmp_path: Path, board: Path, results: Path) -> None:
    digest = hashlib.sha256(board.read_bytes()).hexdigest()
    with serving(board.read_bytes()) as server:
        done = kdbench("results", "fetch", server.address, "other", "--sha256", digest.upper(), cwd=tmp_path)
        assert not list((tmp_path / "cache").glob(".fetching-*"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"merged {server.address} into other: 5 records and 1 unfinished trainings are new")
    assert kdbench("results", "fetch", "board.zip", "third", cwd=tmp_path).returncode == 0
    assert files_of(tmp_path / "other") == files_of(tmp_path / "third")
    weights = f"{TRACK}/{teacher_of(results).name}/{WEIGHTS}"
    assert (tmp_path / "other" / weights).read_bytes() == (results / weights).read_bytes()


def test_a_fetch_that_broke_off_merges_nothing(kdbench: Command, tmp_path: Path, board: Path) -> None:
    with serving(board.read_bytes(), ends_after=1000) as server:
        assert_refused(kdbench("results", "fetch", server.address, "other", cwd=tmp_path), "1000 bytes read")
        assert not (tmp_path / "other").exists()
        server.ends_after = None
        assert kdbench("results", "fetch", server.address, "other", cwd=tmp_path).returncode == 0
    assert len(find_records(tmp_path / "other")) == 5


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"status": 404}, "404 Client Error"),
        ({"status": 302, "leads_to": "file:///etc/passwd"}, "No connection adapters were found for 'file:///etc"),
    ],
)
def test_what_a_server_refuses_is_said(
    kdbench: Command, tmp_path: Path, settings: dict[str, object], words: str
) -> None:
    with serving(b"", **settings) as server:
        refused = kdbench("results", "fetch", server.address, "other", cwd=tmp_path)
    assert_refused(refused, f"{server.address} cannot be fetched: ", words, "give the same command again")
    assert len(refused.stderr.splitlines()) == 1


def test_a_server_that_is_down_or_no_server_is_named(kdbench: Command, tmp_path: Path) -> None:
    with serving(b"") as server:
        address = server.address
    assert_refused(kdbench("results", "fetch", address, "other", cwd=tmp_path), address, "refused")
    assert_refused(kdbench("results", "fetch", "http://[", "other", cwd=tmp_path), "http://[ cannot be fetched: ")


def test_a_server_may_lead_to_another_address(kdbench: Command, tmp_path: Path, board: Path) -> None:
    with (
        serving(board.read_bytes()) as server,
        serving(b"", status=302, leads_to=server.address) as first,
    ):
        assert kdbench("results", "fetch", first.address, "other", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("sha256", ["0" * 64, "short"])
def test_a_pack_with_another_digest_is_refused(kdbench: Command, tmp_path: Path, board: Path, sha256: str) -> None:
    for source in ("board.zip", "http"):
        with serving(board.read_bytes()) as server:
            address = server.address if source == "http" else source
            done = kdbench("results", "fetch", address, "other", "--sha256", sha256, cwd=tmp_path)
        assert_refused(done, "--sha256", sha256)
        assert len(done.stderr.splitlines()) == 1
        assert not (tmp_path / "other").exists()


def test_a_hostile_pack_from_a_server_is_refused_by_its_address(kdbench: Command, tmp_path: Path, board: Path) -> None:
    rewritten(board, members={"../outside": b"x"})
    with serving(board.read_bytes()) as server:
        refused = kdbench("results", "fetch", server.address, "other", cwd=tmp_path)
        assert not list((tmp_path / "cache").glob(".fetching-*"))
    assert_refused(refused, f"{server.address} is not a pack that can be merged: it holds '../outside'")
    assert str(tmp_path / "cache") not in refused.stderr
    assert not (tmp_path / "outside").exists()


def test_a_folder_that_another_command_uses_is_noticed_before_the_download(
    kdbench: Command, tmp_path: Path, board: Path
) -> None:
    with serving(board.read_bytes()) as server, sole_user(tmp_path / "other"):
        assert_refused(kdbench("results", "fetch", server.address, "other", cwd=tmp_path), "another kdbench run")
    assert server.requests == 0


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ftp://example.org/board.zip", "give an address with http:// or https://, or a path"),
        ("file:///etc/passwd", "give an address with http:// or https://, or a path"),
        ("nowhere.zip", "pack nowhere.zip cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_fetched_is_refused_in_one_line(
    kdbench: Command, tmp_path: Path, source: str, words: str
) -> None:
    refused = kdbench("results", "fetch", source, "other", cwd=tmp_path)
    assert_refused(refused, words)
    assert len(refused.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
