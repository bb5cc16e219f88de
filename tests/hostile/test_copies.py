"""The bytes of a method that were read at planning are those that run, whatever becomes of the file."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kdbench.records import find_records, read_record
from tests.hostile.arena import Arena, Case
from tests.hostile.sources import Parts, plain, source

pytestmark = pytest.mark.slow  # each test gives a whole command

PUPIL = Parts(uses_teacher=True)  # two runs, one per teacher
RAISES = Parts(uses_teacher=True, before="raise ValueError('edited')")


@contextmanager
def edited_when_it_runs(results: Path, path: Path, text: str) -> Iterator[None]:
    """Rewrite a method file, in a thread, as soon as its first run has begun."""
    ended = threading.Event()

    def edit() -> None:
        while not any((results / ".scratch").glob(f"*/method/{path.name}")):
            if ended.wait(0.005):
                return
        path.write_text(text)

    thread = threading.Thread(target=edit, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join()
    assert path.read_text() == text, "no run of the method was seen"


@pytest.mark.parametrize("text", [source("edited", RAISES), ""], ids=["edited", "emptied"])
def test_a_file_that_is_edited_while_it_runs_runs_on_as_it_was(text: str, trusted_arena: Arena) -> None:
    path = trusted_arena.write("edited", source("edited", PUPIL))
    results = trusted_arena.new_results()
    with edited_when_it_runs(results, path, text):
        battle = trusted_arena.run(results, [path], "--workers", "1", bystanders=())
    case = Case("edited", PUPIL, "ok", rows=2, honest=False)
    battle.assert_row(case)
    battle.assert_nothing_else_is_touched(failures=False)
    assert len({record.digests.code for record in battle.rows("edited")}) == 1


KINDS: dict[str, Callable[[Path, Path], object]] = {
    "file": lambda copy, other: copy.write_bytes(other.read_bytes()),
    "link": lambda copy, other: copy.symlink_to(other),
    "link-to-nothing": lambda copy, other: copy.symlink_to(other.with_name("nothing.py")),
    "fifo": lambda copy, other: os.mkfifo(copy),
    "folder": lambda copy, other: copy.mkdir(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_an_earlier_run_left_is_not_believed(kind: str, trusted_arena: Arena) -> None:
    path = trusted_arena.write("poisoned", plain("poisoned"))
    battle = trusted_arena.run(trusted_arena.new_results(), [path], bystanders=())
    ((folder,), (before,)) = battle.folders["poisoned"], battle.rows("poisoned")
    results = trusted_arena.new_results()
    copy = results / ".scratch" / folder.name / "method" / "poisoned.py"
    copy.parent.mkdir(parents=True)
    other = trusted_arena.write("other", source("poisoned", RAISES))
    text = other.read_bytes()
    KINDS[kind](copy, other)
    battle = trusted_arena.run(results, [path], bystanders=())
    battle.assert_row(Case("poisoned", Parts(), ("ok", "error")))
    (after,) = battle.rows("poisoned")
    assert "edited" not in after.reason
    assert after.status == "error" or after.digests.weights == before.digests.weights
    assert other.read_bytes() == text
    assert not other.with_name("nothing.py").exists()
    battle.assert_nothing_else_is_touched(failures=after.status != "ok")


def test_a_method_is_the_same_under_another_path(trusted_arena: Arena, tmp_path: Path) -> None:
    """A second command finds the record, although the file lies elsewhere."""
    results = trusted_arena.new_results()
    trusted_arena.run(results, [trusted_arena.write("moved", plain("moved"))], bystanders=()).assert_ended(0)
    (tmp_path / "moved.py").write_text(f"# a comment\n{plain('moved')}")
    battle = trusted_arena.run(results, [tmp_path / "moved.py"], bystanders=())
    battle.assert_ended(0)
    assert " 0 to run" in battle.finished.stdout


def test_two_files_of_one_name_are_refused(trusted_arena: Arena, tmp_path: Path) -> None:
    first = trusted_arena.write("twins", plain("twins"))
    (tmp_path / "twins.py").write_text(source("twins", Parts(before="pass; pass")))
    results = trusted_arena.new_results()
    battle = trusted_arena.run(results, [first, tmp_path / "twins.py"])
    battle.assert_ended(2)
    assert "twins" in battle.finished.stderr
    assert not [folder for folder in find_records(results) if read_record(folder).method == "twins"]


def test_a_method_reads_its_own_file_and_nothing_of_its_authors_folder(trusted_arena: Arena) -> None:
    assert trusted_arena.write("beside_me", "x = 1\n").exists()
    parts = Parts(
        at_import="assert Path(__file__).read_bytes()\nassert not Path(__file__).with_name('beside_me.py').exists()"
    )
    case = Case("reads-itself", parts, "ok")
    battle = trusted_arena.fight((case,))
    battle.assert_row(case)
    battle.assert_nothing_else_is_touched(failures=False)
