"""What the launcher gives to the processes that it starts."""

import os
import subprocess
import sys

from kdbench.jobs.launcher import fixed_environment

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
