"""Who methods are, as their files say."""

from pathlib import Path

import pytest

from kdbench.leaderboard.method_cards import MethodCard, card_of, shipped_cards
from kdbench.methods.files import MethodFile, list_submissions, read_method_file, submission_path


def card(docstring: str, body: str = "") -> MethodCard:
    return card_of(MethodFile(Path("mine.py"), f'"""{docstring}"""\n{body}'.encode(), ""))


def test_the_first_paragraph_names_method_authors_year_and_paper() -> None:
    lm = card_of(read_method_file(submission_path("lm")))
    assert (lm.title, lm.citation) == ("Logit matching", "Hinton, Vinyals & Dean (2015)")
    assert lm.work == "Distilling the knowledge in a neural network"
    assert lm.link == "https://arxiv.org/abs/1503.02531"
    assert lm.summary == "matches the teacher's softened class probabilities"


@pytest.mark.parametrize("name", [name for name in list_submissions() if name != "independent"])
def test_every_shipped_method_names_authors_year_and_where_to_read_it(name: str) -> None:
    shipped = card_of(read_method_file(submission_path(name)))
    assert shipped.citation
    assert shipped.link or shipped.venue
    assert shipped.summary


def test_a_file_that_repeats_its_short_name_is_called_by_its_paper() -> None:
    shown = card('XKD: Doe & Roe (2024), "Cross distillation", ICLR, arXiv:2401.00001.')
    assert shown.full_name("xkd") == "Cross distillation"
    assert card("Relational distillation: Park (2019), CVPR.").full_name("rkd") == "Relational distillation"


def test_a_file_without_a_paper_keeps_its_first_words() -> None:
    shown = card(
        "Answers of the teacher: only the class, as in Touvron et al. (2021).\n\nMore.", "class A:\n    x = 1\n"
    )
    assert (shown.title, shown.citation, shown.link) == ("Answers of the teacher", "", "")
    assert card("").title == "mine"


def test_controls_have_cards_too() -> None:
    assert "Label smoothing" in {shown.title for shown in shipped_cards().values()}
