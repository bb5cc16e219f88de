"""Settings of every test: one thread, no variables of the user's shell, repeatable property tests."""

import gc

import pytest
import torch
from hypothesis import settings

from tests.case_ids import case_id
from tests.command_line import Command, command_in_process

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("repeatable")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def kdbench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs the command line in this process."""
    return command_in_process(monkeypatch, capsys)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name the cases of parametrized tests by their values."""
    return case_id(val)


def pytest_collection_finish() -> None:
    """Spare collections of garbage what was imported: some libraries collect at each call, and it is millions."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is no CUDA device."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
