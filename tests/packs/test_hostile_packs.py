"""A pack may come from anybody: what does not belong there is refused in one sentence, and nothing is changed."""

import os
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import InputError
from kdbench.packs import contents
from kdbench.packs.merging import merge
from kdbench.plan.context import SCRATCH
from kdbench.records import RESULT, WEIGHTS, find_records
from kdbench.testsets.gallery import GALLERY
from tests.command_line import Command, assert_refused
from tests.packs.results_folders import (
    SPEC,
    TRACK,
    UNFINISHED,
    files_of,
    packed,
    rewritten,
    student_of,
    teacher_of,
)

RUN = "0" * 16 + "-52b67082"


def assert_nothing_is_merged(path: Path, match: str) -> None:
    """Assert that a pack is refused, and that no file comes into being by that."""
    other = path.parent / "other"
    (other / TRACK).mkdir(parents=True)
    before = files_of(path.parent)
    with pytest.raises(InputError, match=match):
        merge(path, other, SPEC)
    assert files_of(path.parent) == before
    assert sorted(file.name for file in other.iterdir()) in ([TRACK], [".lock", TRACK])


@pytest.mark.parametrize(
    "name",
    [
        "../evil.json",
        "/tmp/evil.json",
        f"{TRACK}/../../evil.json",
        f"{TRACK}/{RUN}/../../../evil",
        f"{TRACK}/{RUN}/deeper/{RESULT}",
        f"{TRACK}/{RUN}/.hidden",
        f"{TRACK}/elsewhere/{RESULT}",
        f"unknown/{RUN}/{RESULT}",
        f"{SCRATCH}/{RUN}/method",
        f"{SCRATCH}/../{RUN}/log.txt",
        "current.json",
        f"{TRACK}\\{RUN}\\{RESULT}",
    ],
)
def test_a_path_that_has_no_place_is_refused(board: Path, name: str) -> None:
    listed = {"size": 4, "sha256": "0" * 64}
    rewritten(board, listed=lambda fields: fields["files"].update({name: listed}), members={name: b"evil"})
    assert_nothing_is_merged(board, "which has no place in a results folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_what_is_not_a_plain_file_is_refused(board: Path, kind: int) -> None:
    member = zipfile.ZipInfo(f"{TRACK}/{RUN}/{WEIGHTS}")
    member.external_attr = (kind | 0o777) << 16
    listed = {member.filename: {"size": 4, "sha256": "0" * 64}}
    rewritten(board, listed=lambda fields: fields["files"].update(listed), members={member: b"/etc"})
    assert_nothing_is_merged(board, "which is a link, a device or encrypted")


def test_a_file_that_is_not_listed_is_refused(board: Path) -> None:
    rewritten(board, members={f"{TRACK}/{RUN}/{RESULT}": b"{}"})
    assert_nothing_is_merged(board, "which pack.json does not list")


def test_a_file_that_is_listed_and_missing_is_refused(board: Path) -> None:
    listed = {f"{TRACK}/{RUN}/{RESULT}": {"size": 4, "sha256": "0" * 64}}
    rewritten(board, listed=lambda fields: fields["files"].update(listed))
    assert_nothing_is_merged(board, "the files that it holds are not those that pack.json lists")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(board: Path, results: Path) -> None:
    student = student_of(results)
    name, content = f"{TRACK}/{student.name}/{RESULT}", (student / RESULT).read_bytes()
    rewritten(board, members={name: content})
    assert_nothing_is_merged(board, "the files that it holds are not those that pack.json lists")


def test_a_changed_byte_is_refused(board: Path, results: Path) -> None:
    """The weights are stored as they are, so that a byte of theirs can be changed where it lies."""
    content, weights = board.read_bytes(), (teacher_of(results) / WEIGHTS).read_bytes()
    assert content.count(weights) == 1
    board.write_bytes(content.replace(weights, weights.replace(b"w", b"v", 1)))
    assert_nothing_is_merged(board, "Bad CRC-32")


def test_bytes_with_another_digest_are_refused(board: Path, results: Path) -> None:
    name = f"{TRACK}/{teacher_of(results).name}/{WEIGHTS}"
    rewritten(board, listed=lambda fields: fields["files"][name].update(sha256="0" * 64))
    assert_nothing_is_merged(board, f"the bytes of {name} are not those that were packed; get it again")


def test_pictures_that_are_none_are_refused(results: Path, tmp_path: Path) -> None:
    (results / TRACK / GALLERY).write_bytes(b"no pictures")
    reason = r"synthetic/gallery.npz cannot be read \(it is not an NPZ archive\)"
    assert_nothing_is_merged(packed(results, tmp_path / "b.zip"), f"is damaged: {reason}; get it again")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_pack_is_refused(board: Path, share: float) -> None:
    os.truncate(board, int(share * board.stat().st_size))
    assert_nothing_is_merged(board, "board.zip is not a pack, or it is damaged: .*; get it again")


def test_an_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("archive.json", "{}")
    assert_nothing_is_merged(
        tmp_path / "other.zip", "is not a pack: it has no pack.json; `kdbench results pack` makes one"
    )


def test_a_bomb_is_refused_before_anything_is_unpacked(board: Path) -> None:
    size = 2 * contents.MOST_RATIO * board.stat().st_size
    listed = {f"{TRACK}/{RUN}/{RESULT}": {"size": size, "sha256": "0" * 64}}
    rewritten(board, listed=lambda fields: fields["files"].update(listed), members={next(iter(listed)): bytes(size)})
    assert_nothing_is_merged(board, r"its files would take \d+ bytes; allowed for a file of its size: \d+")


def test_a_bomb_that_declares_a_small_size_is_read_no_further(board: Path, results: Path) -> None:
    """The archive declares 4 bytes of a member that unpacks to a megabyte."""
    name = f"{TRACK}/{RUN}/{RESULT}"
    rewritten(
        board,
        listed=lambda fields: fields["files"].update({name: {"size": 4, "sha256": "0" * 64}}),
        members={name: bytes(2**20)},
    )
    content = board.read_bytes()
    assert content.count((2**20).to_bytes(4, "little")) >= 2
    board.write_bytes(content.replace((2**20).to_bytes(4, "little"), (4).to_bytes(4, "little")))
    assert_nothing_is_merged(board, "is damaged: Bad CRC-32")


def test_a_list_that_is_too_long_is_refused(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MOST_CONTENTS_BYTES", 100)
    assert_nothing_is_merged(board, r"its pack.json has \d+ bytes; allowed: at most 100")


def test_another_compression_is_refused(board: Path) -> None:
    rewritten(board, compression=zipfile.ZIP_BZIP2)
    assert_nothing_is_merged(board, "is compressed in another way than a pack is")


def test_a_list_with_another_compression_is_refused(board: Path) -> None:
    """Python unpacks it all at once, whatever size it declares."""
    rewritten(board)
    with zipfile.ZipFile(board) as archive:
        listed = archive.read(contents.CONTENTS)
    with zipfile.ZipFile(board, "w") as archive:
        archive.writestr(contents.CONTENTS, listed, zipfile.ZIP_LZMA)
    assert_nothing_is_merged(board, "it holds 'pack.json', which is compressed in another way than a pack is")


def test_a_list_that_declares_a_small_size_is_unpacked_no_further(board: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, most = 2**26, 2**16
    with zipfile.ZipFile(board, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(contents.CONTENTS, b" " * size)
    board.write_bytes(board.read_bytes().replace(size.to_bytes(4, "little"), (4).to_bytes(4, "little")))
    monkeypatch.setattr(contents, "MOST_CONTENTS_BYTES", most)
    tracemalloc.start()
    assert_nothing_is_merged(board, "board.zip is not a pack, or it is damaged: Bad CRC-32")
    assert tracemalloc.get_traced_memory()[1] < size // 4
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda f: f.update(format=2), "its pack.json is not valid: key format has the value 2"),
        (lambda f: f.update(more=1), "its pack.json is not valid: unknown key more"),
        (
            lambda f: f.update(numerics=99),
            "made by another kdbench or spec: its NUMERICS_VERSION is 99, and here it is",
        ),
        (lambda f: f["tracks"][TRACK].update(training="0" * 64), "the training digest of synthetic is 000000000000..."),
        (lambda f: f["tracks"][TRACK].update(testsets="1" * 64), "the testsets digest of synthetic is 111111111111..."),
        (lambda f: f["tracks"].update(mine=f["tracks"][TRACK]), "it has runs of the track 'mine', and this spec has: "),
        (lambda f: f["codes"].update(lm="2" * 64), "the digest of the code of lm is 222222222222..., and here it is"),
    ],
    ids=["format", "key", "numerics", "training", "testsets", "track", "code"],
)
def test_a_pack_of_another_spec_or_code_is_refused_by_name(
    board: Path, change: Callable[[dict[str, Any]], object], match: str
) -> None:
    rewritten(board, listed=change)
    assert_nothing_is_merged(board, match)


def test_code_that_this_machine_does_not_have_is_no_difference(board: Path, tmp_path: Path) -> None:
    rewritten(board, listed=lambda fields: fields["codes"].update(mine="0" * 64))
    assert len(merge(board, tmp_path / "other", SPEC).records) == 5


@pytest.mark.parametrize("path", ["nowhere.zip", ".", "text.txt"])
def test_the_command_refuses_what_is_not_a_pack_in_one_line(kdbench: Command, tmp_path: Path, path: str) -> None:
    (tmp_path / "text.txt").write_text("no pack")
    refused = kdbench("results", "merge", path, cwd=tmp_path)
    assert_refused(refused, path)
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_the_commands_pack_and_merge(kdbench: Command, tmp_path: Path, results: Path) -> None:
    wrote = kdbench("results", "pack", "board.zip", cwd=tmp_path)
    assert "wrote board.zip: 5 records and 1 unfinished trainings" in wrote.stdout
    done = kdbench("results", "merge", "board.zip", "other", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 records and 1 unfinished trainings are new, 0 records were there already" in done.stdout
    assert (tmp_path / "other" / SCRATCH / UNFINISHED).is_dir()


def test_the_command_names_a_record_that_does_not_fit(kdbench: Command, tmp_path: Path, results: Path) -> None:
    path = student_of(results) / RESULT
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 3'))
    kdbench("results", "pack", "board.zip", cwd=tmp_path)
    done = kdbench("results", "merge", "board.zip", "other", cwd=tmp_path)
    assert done.returncode == 1
    assert "1 records of board.zip do not fit and were left out" in done.stderr
    assert student_of(results).name in done.stderr
    assert len(find_records(tmp_path / "other")) == 4
