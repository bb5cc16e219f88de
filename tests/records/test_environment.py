"""A record describes the software and the machine that made it."""

import platform
import subprocess
from pathlib import Path

import pytest
import torch

import kdbench
from kdbench.records.environment import describe_environment

CHECKOUT = Path(kdbench.__file__).parents[1]


def test_versions_machine_device_and_command_are_described() -> None:
    environment = describe_environment(torch.device("cpu"), "float32", "kdbench run --seeds 0")
    assert environment.kdbench == kdbench.__version__
    assert environment.torch == torch.__version__
    assert environment.python == platform.python_version()
    assert (environment.device, environment.device_class) == ("cpu", "cpu-float32")
    assert environment.threads == torch.get_num_threads()
    assert environment.command == "kdbench run --seeds 0"


@pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="this is not a checkout")
def test_the_commit_is_that_of_the_checkout() -> None:
    head = subprocess.run(
        ("git", "-C", str(CHECKOUT), "rev-parse", "HEAD"), capture_output=True, text=True, check=True
    ).stdout.strip()
    environment = describe_environment(torch.device("cpu"), "float32", "")
    assert (environment.commit or "").removesuffix("+") == head
