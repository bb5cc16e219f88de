"""A method file that is only checked can reach and leave no more than one that is trained."""

import re

import pytest

from tests.hostile.arena import CONTROL, Arena, end_survivors
from tests.hostile.sources import Parts, placed, source

pytestmark = pytest.mark.slow  # each check is a command of its own

ATTEMPTS = {
    "writes-outside": "Path(OUTSIDE, 'new').touch()",
    "reads-a-secret": "Path(SECRET).read_bytes()",
    "reads-a-record": "Path(NEIGHBOURS[0], 'result.json').read_bytes()",
    "changes-a-record": "open(Path(NEIGHBOURS[0], 'result.json'), 'r+b').write(b' ')",
    "connects": "socket.create_connection(('127.0.0.1', PORT), 2)",
    "changes-the-harness": "open(Path(CHECKOUT, 'kdbench', '__init__.py'), 'r+b')",
}
LEAVES = "leave(sleep_long)"
PRINTS = "print('\\x1b[31m' * 10**6); raise ValueError('\\x1b[2J' * 10**5)"


@pytest.mark.parametrize("at_import", [True, False])
@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_checked_file_reaches_nothing_of_others(trusted_arena: Arena, name: str, at_import: bool) -> None:
    parts = Parts(at_import=ATTEMPTS[name]) if at_import else Parts(before=ATTEMPTS[name])
    results = trusted_arena.new_results()
    places, untouched, own = trusted_arena.places(results), trusted_arena.untouched(results), trusted_arena.own_state()
    file = trusted_arena.write(name, placed(source(name, parts), places))
    finished = trusted_arena.command(results, "check", str(file))
    assert finished.returncode == 1, finished.stdout
    assert re.search("PermissionError|ConnectionRefused|FileNotFound|Read-only|OSError|Errno", finished.stdout)
    assert trusted_arena.untouched(results) == untouched
    assert trusted_arena.own_state() == own


def test_a_checked_file_leaves_no_process(trusted_arena: Arena) -> None:
    results = trusted_arena.new_results()
    file = trusted_arena.write("leaves", placed(source("leaves", Parts(before=LEAVES)), trusted_arena.places(results)))
    trusted_arena.command(results, "check", str(file))
    assert list(end_survivors()) == []


def test_what_a_checked_file_prints_and_raises_is_harmless(trusted_arena: Arena) -> None:
    results = trusted_arena.new_results()
    file = trusted_arena.write("prints", placed(source("prints", Parts(before=PRINTS)), trusted_arena.places(results)))
    finished = trusted_arena.command(results, "check", str(file))
    assert finished.returncode == 1
    assert not CONTROL.search(finished.stdout + finished.stderr)
    assert len(finished.stdout) < 10_000
