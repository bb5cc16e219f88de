"""The command is ended from outside while a hostile method runs: no process and no half a record is left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from kdbench.interruptions import INTERRUPTED
from kdbench.records import find_records, read_record
from tests.hostile.arena import BYSTANDER, Arena, end_survivors, survivors
from tests.hostile.sources import Parts, placed, source

pytestmark = pytest.mark.slow  # each test starts a command and ends it
PATIENCE = 300  # seconds
DEAF = """
for number in set(range(1, 65)) - {signal.SIGCHLD}:  # by which it waits for its own processes
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
leave(sleep_long)
if not os.fork():
    mark()
    sleep_long()
print("hostile and busy", flush=True)
sleep_long()
"""


@pytest.mark.usefixtures("interrupts_are_heard")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda n: n.name)
def test_a_command_that_is_ended_takes_a_deaf_method_with_it(number: signal.Signals, arena: Arena) -> None:
    results = arena.new_results()
    path = arena.write("deaf", placed(source("deaf", Parts(after=DEAF)), arena.places(results)))
    command = subprocess.Popen(
        [sys.executable, "-m", "kdbench", *arena.arguments(results, [path]), "--workers", "1"],
        env={**os.environ, "KDBENCH_CACHE": str(arena.cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    family = wait_for_daemon(command)
    command.send_signal(number)
    finished = command.communicate(timeout=PATIENCE)[0]
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert not end_survivors()
    assert "Traceback" not in finished
    assert (INTERRUPTED in finished) == (number == signal.SIGINT)
    assert not [folder for folder in find_records(results) if read_record(folder).method == "deaf"]
    if number == signal.SIGKILL:
        shutil.rmtree(results / ".scratch")  # from which the run would go on
        arena.run(results, [arena.method(BYSTANDER)]).assert_nothing_else_is_touched(failures=False)


def wait_for_daemon(command: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until the method has left a process behind; return all that belongs to the command."""
    deadline = time.monotonic() + PATIENCE
    while not marked():
        assert command.poll() is None, command.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    return [*psutil.Process(command.pid).children(recursive=True), *marked()]


def marked() -> list[psutil.Process]:
    """Return the processes that a method left, which name themselves."""
    return [process for process in survivors() if process.name() != Path(sys.executable).name]


def test_a_method_that_is_printed_to_a_closed_pipe_ends_the_command_in_order(arena: Arena) -> None:
    """The reader of the command's output goes away; no process stays."""
    results = arena.new_results()
    path = arena.write("sleepy", placed(source("sleepy", Parts(after="time.sleep(1)")), arena.places(results)))
    command = subprocess.Popen(
        [sys.executable, "-m", "kdbench", *arena.arguments(results, [path]), "--workers", "1"],
        env={**os.environ, "KDBENCH_CACHE": str(arena.cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert command.stdout is not None
    command.stdout.readline()
    command.stdout.close()
    family = psutil.Process(command.pid).children(recursive=True)
    command.wait(timeout=PATIENCE)
    assert not psutil.wait_procs(family, timeout=20)[1]
