"""The files beside the page."""

import csv
import io
from xml.etree import ElementTree

from kdbench.leaderboard.badges import badge
from kdbench.leaderboard.boards import BoardView, board_views
from kdbench.leaderboard.downloads import bibtex, board_csv, downloads
from kdbench.leaderboard.method_cards import shipped_cards
from kdbench.leaderboard.method_entries import method_entries
from kdbench.methods.files import read_method_file, submission_path
from kdbench.scoring.scores import Board
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def views_of(*boards: Board) -> tuple[BoardView, ...]:
    return board_views(examples.scores_of(*boards), load_spec(), cards=shipped_cards())


def test_a_board_has_a_line_per_method_and_control_in_full_precision() -> None:
    (view,) = views_of(examples.planted_board())
    lines = list(csv.DictReader(io.StringIO(board_csv(view))))
    assert [line["method"] for line in lines[:2]] == ["crd", "cskd"]
    assert {line["kind"] for line in lines} == {"method", "control"}
    crd = lines[0]
    assert (float(crd["transfer"]), float(crd["transfer_low"]), crd["transfer_seeds"]) == (0.61, 0.61 - 0.05, "3")
    assert (crd["rank"], crd["finding"], crd["relative_time"]) == ("1", "transfers", "1.4")
    assert lines[3]["transfer"] == ""


def test_a_name_that_a_spreadsheet_would_run_is_made_text() -> None:
    row = examples.method_row('=HYPERLINK("x")', "vit", examples.estimate(-0.4))
    (view,) = views_of(examples.board("cnn-to-vit", row))
    (line,) = csv.DictReader(io.StringIO(board_csv(view)))
    assert line["method"] == '\'=HYPERLINK("x")'
    assert float(line["transfer"]) == -0.4


def test_json_holds_the_board_as_it_was_scored() -> None:
    board = examples.planted_board()
    views = views_of(board)
    text = downloads(views, method_entries(views))["data/synthetic-planted-cnn-to-vit.json"]
    assert Board.model_validate_json(text) == board


def test_papers_have_an_entry_with_authors_as_bibtex_separates_them() -> None:
    codes = {name: read_method_file(submission_path(name)).code for name in ("lm", "capd")}
    rows = [examples.method_row(name, "vit", examples.estimate(0.4), code=codes[name]) for name in codes]
    text = bibtex(method_entries(views_of(examples.board("cnn-to-vit", *rows))))
    assert text.startswith("@software{kdbench,")
    assert "@misc{lm,\n  author = {Hinton and Vinyals and Dean},\n" in text
    assert "author = {Liu and others}" in text
    assert "eprint = {1503.02531}" in text


def test_a_badge_has_number_interval_seeds_and_finding() -> None:
    (view,) = views_of(examples.planted_board())
    texts = {row.name: badge(view, row) for row in view.methods}
    words = "kdbench crd: synthetic τ CNN → ViT: 0.61 [0.56, 0.66], 3 seeds, transfers"
    assert f'aria-label="{words}"' in texts["crd"]
    assert "0.70 [0.65, 0.75], 3 seeds, unofficial" in texts["tuned"]
    assert "kdbench sskd: synthetic τ CNN → ViT: undefined" in texts["sskd"]


def test_a_badge_of_a_hostile_name_is_well_formed() -> None:
    row = examples.method_row('<script>"&', "vit", examples.estimate(0.4))
    (view,) = views_of(examples.board("cnn-to-vit", row))
    root = ElementTree.fromstring(badge(view, view.methods[0]))
    assert root.attrib["aria-label"].startswith('kdbench <script>"&: ')
    assert [child.tag.rpartition("}")[2] for child in root] == ["title", "rect", "path", "text", "text"]


def test_every_method_of_a_board_has_a_badge_and_no_control_has() -> None:
    views = views_of(examples.planted_board())
    names = [name for name in downloads(views, method_entries(views)) if name.endswith(".svg")]
    board = "data/badges/synthetic-planted-cnn-to-vit"
    assert {f"{board}-crd.svg", f"{board}-lm.svg"} <= set(names)
    assert len(names) == len(views[0].methods)
