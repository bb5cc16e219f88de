"""What lies beside a record is read as it was written, and does without damaged files."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.evaluation.kept import read_logits, read_maps, write_logits, write_maps
from kdbench.records import LOGITS, OCCLUSION
from tests.evaluation.small_networks import normal


def test_maps_are_kept_beside_the_record(tmp_path: Path) -> None:
    maps = normal(3, 64)
    assert read_maps(tmp_path) is None
    write_maps(tmp_path, maps)
    np.testing.assert_array_equal(read_maps(tmp_path), maps.astype(np.float32))


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04"])
def test_damaged_maps_are_not_used_and_the_log_says_so(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / OCCLUSION).write_bytes(damage)
    assert read_maps(tmp_path) is None
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / OCCLUSION} is damaged and not used: ")


def test_logits_are_kept_beside_the_record(tmp_path: Path) -> None:
    logits = {"clean": normal(3, 10).astype(np.float32)}
    assert read_logits(tmp_path) == {}
    write_logits(tmp_path, logits)
    assert read_logits(tmp_path).keys() == logits.keys()
    np.testing.assert_array_equal(read_logits(tmp_path)["clean"], logits["clean"].astype(np.float16))


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04"])
def test_damaged_logits_are_not_used_and_the_log_says_so(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LOGITS).write_bytes(damage)
    assert read_logits(tmp_path) == {}
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / LOGITS} is damaged and not used: ")
