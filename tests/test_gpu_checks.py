"""The script of GPU checks: what it compares with, and what it says where there is no GPU."""

import pytest
import torch

from benchmark.timing import gpu_checks
from kdbench.method_files import list_submissions


def test_the_papers_times_are_those_of_its_tables() -> None:
    assert gpu_checks.paper_seconds("cnn-to-vit") == {"lm": 815.8, "crd": 1748.0, "vlfkd": 1604.2, "cskd": 756.0}
    assert gpu_checks.paper_seconds("vit-to-cnn") == {"lm": 604.2, "crd": 919.3, "capd": 2513.5, "sskd": 3595.2}


def test_every_method_that_the_paper_timed_is_a_submission() -> None:
    timed = {*gpu_checks.paper_seconds("cnn-to-vit"), *gpu_checks.paper_seconds("vit-to-cnn")}
    assert timed <= set(list_submissions())


def test_without_a_gpu_it_says_so_and_checks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["gpu_checks.py"])
    assert gpu_checks.main() == 2
    assert "no CUDA device" in capsys.readouterr().err


def test_a_check_that_fails_is_a_line_and_not_the_end() -> None:
    def fails() -> str:
        raise torch.OutOfMemoryError("tried to allocate 9.00 GiB\nand more")

    row = gpu_checks._guarded("crd cnn-to-vit", fails)
    assert (row.result, row.good) == ("OutOfMemoryError: tried to allocate 9.00 GiB", False)
