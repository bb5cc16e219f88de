"""Ids that stay as they are when the page grows."""

import re

from kdbench.leaderboard.anchors import board_anchor, row_anchors, slug
from tests.leaderboard import examples


def test_a_board_is_named_by_track_question_and_direction() -> None:
    assert board_anchor(examples.planted_board(), examples.TRACK) == "synthetic-planted-cnn-to-vit"


def test_other_devices_and_digests_make_other_ids() -> None:
    board = examples.planted_board()
    on_gpu = board.model_copy(update={"device_class": "cuda-bfloat16"})
    older = board.model_copy(update={"training_digest": "0" * 64})
    ids = {board_anchor(each, examples.TRACK) for each in (board, on_gpu, older)}
    assert len(ids) == 3
    assert "synthetic-planted-cnn-to-vit-cuda-bfloat16" in ids


def test_the_only_official_row_of_a_method_keeps_its_id_beside_unofficial_ones() -> None:
    score = examples.estimate(0.4)
    official = examples.method_row("lm", "vit", score)
    changed = examples.method_row("lm", "vit", score, config={"temperature": 2.0}, unofficial=("--epochs 9",))
    (alone,) = row_anchors("board", [official])
    first, second = row_anchors("board", [official, changed])
    assert alone == first == "board-lm"
    assert re.fullmatch("board-lm-[0-9a-f]{6}", second)


def test_hostile_and_long_names_make_short_plain_ids_of_their_own() -> None:
    names = ["<script>", "script", "é", "ü", "x" * 640, "x" * 641, "lm w"]
    ids = [slug(name) for name in names]
    assert len(set(ids)) == len(names)
    assert all(re.fullmatch("[a-z0-9-]{1,60}", text) for text in ids)
