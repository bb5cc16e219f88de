"""What the launcher gives to the processes that it starts."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.jobs.launcher import fixed_environment
from kdbench.jobs.temporary_folders import LONGEST_SOCKET, short_socket_folder

BYTES_OF_A_LARGE_TENSOR = 32 * 2**20
FAULTS_OF_REPEATED_TENSORS = f"""
import resource

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

bytearray({BYTES_OF_A_LARGE_TENSOR}).find(1)
before = faults()
for _ in range(5):
    bytearray({BYTES_OF_A_LARGE_TENSOR}).find(1)
print(faults() - before)
"""


def _faults() -> int:
    command = [sys.executable, "-c", FAULTS_OF_REPEATED_TENSORS]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_started_process_keeps_the_memory_of_large_tensors() -> None:
    pages = BYTES_OF_A_LARGE_TENSOR // os.sysconf("SC_PAGESIZE")
    assert _faults() > pages  # without the launcher's environment, every tensor is paged in anew
    with fixed_environment():
        assert _faults() < pages // 10


def test_environment_is_as_before_after_a_start() -> None:
    before = dict(os.environ)
    with fixed_environment():
        assert dict(os.environ) != before
    assert dict(os.environ) == before


SOCKET = """
from multiprocessing.connection import Listener
from kdbench.jobs.temporary_folders import short_socket_folder
with short_socket_folder(), Listener(family="AF_UNIX") as listener:
    print(listener.address)
"""


def test_a_temporary_folder_with_a_long_path_is_left_for_sockets(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder)}
    command = [sys.executable, "-c", SOCKET]
    address = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert not Path(address).is_relative_to(folder)
    assert len(address) <= LONGEST_SOCKET


def test_a_machine_without_a_short_temporary_folder_is_told_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"too long for a socket; set the environment variable TMPDIR"):
        short_socket_folder().__enter__()
