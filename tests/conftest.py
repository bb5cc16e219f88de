"""Settings of every test: one thread, no variables of the user's shell, repeatable property tests."""

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from tests.case_ids import case_id
from tests.command_line import Command, command_in_process

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")
torch.set_num_threads(1)

TESTS = Path(__file__).parent
# Files and folders of tests that take longest. They start first, so that no process waits for another at the end.
LONGEST = (
    *("hostile", "jobs/test_kill.py", "jobs/test_control_records.py", "submissions/test_every_method.py"),
    *("training/test_loop.py", "cli/test_main.py", "timing/test_gpu_checks.py", "scoring/test_board.py"),
    *("scoring/test_standing.py", "submissions/test_paper_track.py", "testsets/test_network_build.py"),
    *("scoring/test_gates.py", "tracking/test_mirror.py", "scoring/test_admission.py", "testsets/test_frozen.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order of the tests, where it shares them between processes."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def kdbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command line in this process."""
    return command_in_process(monkeypatch, capsys)


@pytest.fixture
def interrupts_are_heard() -> Iterator[None]:
    """Let commands hear these signals as at a terminal; those started in the background or by `nohup` do not."""
    interrupts = signal.signal(signal.SIGINT, signal.default_int_handler)
    hang_ups = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupts)
    signal.signal(signal.SIGHUP, hang_ups)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name the cases of parametrized tests by their values."""
    return case_id(val)


def pytest_collection_finish() -> None:
    """Spare collections of garbage what was imported: some libraries collect at each call, and it is millions."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first, and skip tests marked `gpu` where there is no CUDA device."""
    items.sort(key=_place)
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def _place(item: pytest.Item) -> int:
    """Return the place of a test's file among the longest, or the place after them."""
    path = item.path.relative_to(TESTS)
    return next((place for place, name in enumerate(LONGEST) if path.is_relative_to(name)), len(LONGEST))
