"""A download is whole or has no name, goes on where it broke off, and leads nowhere that it should not."""

from pathlib import Path
from urllib.request import Request

import pytest

from kdbench.errors import InputError
from kdbench.packs import downloading
from kdbench.packs.downloading import PARTIAL, WHOLE, CarefulRedirects, download, is_address
from tests.packs.servers import FileServer, serving

CONTENT = bytes(range(256)) * 64
HALF = len(CONTENT) // 2


def unheard(received: int, size: int | None) -> None:
    """Take no notice of the progress."""


def broken_off(server: FileServer, folder: Path) -> None:
    """Download half of a file."""
    server.ends_after = HALF
    with pytest.raises(InputError, match=rf"broke off: {HALF} of {len(CONTENT)} bytes came; give the same command"):
        download(server.address, folder, unheard)
    server.ends_after = None


def test_a_file_arrives_whole_and_the_progress_is_heard(tmp_path: Path) -> None:
    heard = list[tuple[int, int | None]]()
    with serving(CONTENT) as server:
        path = download(server.address, tmp_path / "new", lambda *numbers: heard.append(numbers))
    assert path.read_bytes() == CONTENT
    assert heard[-1] == (len(CONTENT), len(CONTENT))


def test_a_download_that_broke_off_has_no_name_and_goes_on(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        broken_off(server, tmp_path)
        assert not (tmp_path / WHOLE).exists()
        assert (tmp_path / PARTIAL).read_bytes() == CONTENT[:HALF]
        assert download(server.address, tmp_path, unheard).read_bytes() == CONTENT
    assert server.requests == [None, f"bytes={HALF}-"]
    assert not (tmp_path / PARTIAL).exists()


@pytest.mark.parametrize(
    "changes", [{"tag": '"second"'}, {"has_ranges": False}, {"tag": None}, {"says_size": False, "has_ranges": False}]
)
def test_a_download_begins_again_where_the_rest_does_not_fit(tmp_path: Path, changes: dict[str, object]) -> None:
    other = CONTENT[::-1]
    with serving(CONTENT) as server:
        broken_off(server, tmp_path)
        server.content = other
        for name, value in changes.items():
            setattr(server, name, value)
        assert download(server.address, tmp_path, unheard).read_bytes() == other


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_version_of_the_file_a_download_begins_again(tmp_path: Path, tag: str | None) -> None:
    with serving(CONTENT, tag=tag) as server:
        broken_off(server, tmp_path)
        assert download(server.address, tmp_path, unheard).read_bytes() == CONTENT
    assert server.requests == [None, None]


def test_a_part_that_is_longer_than_the_file_is_not_kept(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        broken_off(server, tmp_path)
        server.content = CONTENT[:100]
        assert download(server.address, tmp_path, unheard).read_bytes() == CONTENT[:100]
    assert server.requests == [None, f"bytes={HALF}-", None]


def test_a_file_that_is_too_large_is_refused_before_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "MOST_BYTES", HALF)
    with serving(CONTENT) as server, pytest.raises(InputError, match=r"and at most 0\.0 GiB may be fetched"):
        download(server.address, tmp_path, unheard)
    assert not list(tmp_path.iterdir())


def test_a_file_of_unknown_size_may_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "MOST_BYTES", HALF)
    monkeypatch.setattr(downloading, "PIECE_BYTES", 1000)
    with serving(CONTENT, says_size=False) as server, pytest.raises(InputError, match="may be fetched into"):
        download(server.address, tmp_path, unheard)
    assert (tmp_path / PARTIAL).stat().st_size <= HALF


def test_what_a_server_refuses_is_said_in_its_words(tmp_path: Path) -> None:
    with serving(CONTENT, status=404) as server, pytest.raises(InputError, match="answers 404 Not Found; check the"):
        download(server.address, tmp_path, unheard)


def test_a_server_that_is_down_is_named(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        address = server.address
    with pytest.raises(InputError, match=r"board.zip cannot be fetched: .*refused; check the address and the conn"):
        download(address, tmp_path, unheard)


@pytest.mark.parametrize("address", ["http://[", "http://", "http://127.0.0.1:port/x", "http://a b/c"])
def test_an_address_that_is_none_is_named(tmp_path: Path, address: str) -> None:
    assert is_address(address)
    with pytest.raises(InputError, match="cannot be fetched: "):
        download(address, tmp_path, unheard)


@pytest.mark.parametrize(
    ("address", "leads_to"),
    [
        ("http://example.org/a", "file:///etc/passwd"),
        ("http://example.org/a", "ftp://example.org/b"),
        ("https://example.org/a", "http://example.org/b"),
        ("https://example.org/a", "https://127.0.0.1/b"),
        ("http://example.org/a", "http://localhost:5000/b"),
    ],
)
def test_a_server_cannot_lead_to_files_or_this_machine_or_out_of_encryption(address: str, leads_to: str) -> None:
    with pytest.raises(ValueError, match="where no download may lead"):
        CarefulRedirects().redirect_request(Request(address), None, 302, "", None, leads_to)  # type: ignore[arg-type]


def test_a_server_may_lead_to_another_address(tmp_path: Path) -> None:
    with serving(CONTENT) as server, serving(b"", status=302, leads_to=server.address) as first:
        assert download(first.address, tmp_path, unheard).read_bytes() == CONTENT


def test_a_server_that_leads_to_a_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with (
        serving(b"", status=302, leads_to="file:///etc/passwd") as first,
        pytest.raises(InputError, match=r"cannot be fetched: the server answers 302 .*not allowed; check the address"),
    ):
        download(first.address, tmp_path, unheard)
