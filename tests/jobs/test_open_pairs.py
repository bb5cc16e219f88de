"""Networks of each kind are trained, evaluated, scored and verified as the open division."""

from pathlib import Path

import pytest
from rich.console import Console

from kdbench.jobs.invocation import run
from kdbench.jobs.verification import verify
from kdbench.plan.options import RunOptions
from kdbench.plan.pairs import with_pair
from kdbench.records import find_records, read_record
from kdbench.scoring.board import score
from kdbench.testsets.spec import load_spec

pytestmark = pytest.mark.slow
SWIN = ("embed_dim=24", "depths=[1, 1, 1, 1]", "num_heads=[1, 2, 2, 4]")


@pytest.mark.parametrize(
    ("pair", "arguments", "trained"),
    [
        (
            "swin_tiny_patch4_window7_224:convnext_atto",
            tuple(f"teacher.{text}" for text in SWIN),
            {"cnn": "convnext_atto", "vit": "swin_tiny_patch4_window7_224"},
        ),
        (
            "mobilenetv3_small_050:gmlp_ti16_224",
            (),
            {"cnn": "mobilenetv3_small_050", "vit": "gmlp_ti16_224"},
        ),
    ],
    ids=["channels-last-teaches-cnn", "cnn-teaches-tokens-without-class-token"],
)
def test_a_pair_is_trained_evaluated_scored_and_verified(
    pair: str, arguments: tuple[str, ...], trained: dict[str, str], tmp_path: Path
) -> None:
    plain = RunOptions(
        methods=("review",), out=tmp_path, limit_train=64, limit_test=10, epochs=1, device="cpu", workers=1
    )
    console = Console(quiet=True)
    records = run(with_pair(plain, pair, arguments, "random"), console).records
    assert [record.status for record in records] == ["ok"] * 5
    for record in records:
        assert record.pair is not None
        assert {family: record.pair[family].architecture for family in ("cnn", "vit")} == trained
        assert record.unofficial[-1] == f"open division: {record.pair.words}"
    (board,) = score(tmp_path, load_spec()).boards
    assert board.pair == records[0].pair
    student = next(folder for folder in find_records(tmp_path) if read_record(folder).method == "review")
    assert verify(student, "evaluated", "me", RunOptions(), console).verdict == "equal"
