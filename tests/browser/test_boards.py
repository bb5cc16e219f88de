"""Sorting, filtering and linking to the rows of a board, with the mouse and with the keyboard alone."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.reading import OpenPage, names_shown
from tests.browser.sites import BOARD, HOSTILE, LONG, MANY

OTHER = "synthetic-architecture-cnn-to-vit"  # a board with few methods
UNDEFINED = {"sskd", HOSTILE, LONG}  # the methods of the long board without transfer


def sort_by(page: Page, column: str) -> None:
    page.locator(f"#{BOARD}--table thead button", has_text=column).click()


def sorted_columns(page: Page) -> dict[str, str | None]:
    heads = page.locator(f"#{BOARD}--table th[aria-sort]")
    return {head.inner_text().splitlines()[0]: head.get_attribute("aria-sort") for head in heads.all()}


def transfers_shown(page: Page) -> list[float]:
    cells = page.locator(f"#{BOARD}--table tbody.method .primary[data-value]")
    return [float(value) for value in cells.evaluate_all("cells => cells.map((cell) => cell.dataset.value)")]


def test_a_click_sorts_a_board_and_another_turns_it_round(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    sort_by(page, "τ transfer")
    falling = transfers_shown(page)
    assert falling == sorted(falling, reverse=True)
    assert list(sorted_columns(page).values()) == ["descending"]
    assert set(names_shown(page, BOARD)[-3:]) == UNDEFINED
    sort_by(page, "τ transfer")
    assert transfers_shown(page) == falling[::-1]
    assert set(names_shown(page, BOARD)[-3:]) == UNDEFINED


def test_names_are_sorted_as_words(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    sort_by(page, "Method")
    names = names_shown(page, BOARD)
    plain = [name for name in names if name not in (HOSTILE, LONG)]
    assert plain == sorted(plain)
    assert "tuned" in plain


def test_controls_and_other_boards_stay_as_they_are(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    bodies = page.locator(f"#{BOARD}--table tbody:not(.method)")
    before, other = bodies.all_inner_texts(), names_shown(page, OTHER)
    sort_by(page, "τ transfer")
    assert bodies.all_inner_texts() == before
    assert page.locator(f"#{BOARD}--table tbody.method ~ tbody.independent").count() == 1
    assert names_shown(page, OTHER) == other


def test_only_a_board_of_fifteen_methods_or_more_has_a_filter(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    assert page.locator(".filter").count() == 1
    page.get_by_label("Show methods whose name has").fill("METHOD-0")
    assert names_shown(page, BOARD) == [f"method-{number:02}" for number in range(10)]
    page.get_by_label("Show methods whose name has").fill("no such name")
    assert names_shown(page, BOARD) == []
    assert page.get_by_text("No method has this in its name").is_visible()
    page.get_by_label("Show methods whose name has").fill("")
    assert len(names_shown(page, BOARD)) == MANY + 2 + 5


def test_the_address_keeps_what_was_sorted_and_filtered(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    sort_by(page, "τ transfer")
    page.get_by_label("Show methods whose name has").fill("method-1")
    shown = names_shown(page, BOARD)
    assert shown == [f"method-{number}" for number in range(15, 9, -1)]
    again = open_page(crowded / "index.html", address=page.url.partition("index.html")[2])
    assert names_shown(again, BOARD) == shown
    assert list(sorted_columns(again).values()) == ["descending"]
    again.get_by_label("Show methods whose name has").fill("")
    assert "filter" not in again.url
    assert "sort" in again.url


@pytest.mark.parametrize("state", ["99.ascending", "2.sideways", "x", "2", "-1.ascending", "constructor.ascending", ""])
def test_a_state_that_makes_no_sense_changes_nothing(state: str, open_page: OpenPage, crowded: Path) -> None:
    errors: list[str] = []
    page = open_page(crowded / "index.html")
    page.on("pageerror", lambda error: errors.append(str(error)))
    before = names_shown(page, BOARD)
    page.goto((crowded / "index.html").as_uri() + f"?{BOARD}.sort={state}")
    assert names_shown(page, BOARD) == before
    assert errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_link_to_a_row_shows_the_row_below_the_bar(width: int, open_page: OpenPage, crowded: Path) -> None:
    viewport = {"width": width, "height": 800}
    page = open_page(crowded / "index.html", address=f"#{BOARD}-crd", viewport=viewport)
    row = page.locator(f"#{BOARD}-crd")
    box = row.bounding_box()
    assert box is not None
    covered = page.locator(f"#{BOARD}--table thead th.who").evaluate("head => head.getBoundingClientRect().bottom")
    assert max(covered, 0) - 1 <= box["y"] < 700
    plain = page.locator(f"#{BOARD}-cskd").evaluate("row => getComputedStyle(row).backgroundColor")
    assert row.evaluate("row => getComputedStyle(row).backgroundColor") != plain


def test_a_board_is_sorted_with_the_keyboard_alone(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the results"
    assert page.locator(":focus").bounding_box()["x"] >= 0  # type: ignore[index]
    page.keyboard.press("Enter")
    assert page.url.endswith("#results")
    page.locator(f"#{BOARD}--table thead button").nth(1).focus()
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.inner_text().startswith("τ transfer")
    assert focused.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert list(sorted_columns(page).values()) == ["descending"]
    page.keyboard.press("Space")
    assert list(sorted_columns(page).values()) == ["ascending"]
    assert page.locator(":focus").inner_text().startswith("τ transfer")


def test_everything_that_can_be_used_gets_a_visible_focus(open_page: OpenPage, scored: Path) -> None:
    page = open_page(scored / "index.html")
    count = page.locator("a[href]:visible, button:visible, summary:visible, input:visible").count()
    reached = set()
    for _ in range(count):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        assert focused.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
        reached.add(focused.evaluate("element => [...document.querySelectorAll('*')].indexOf(element)"))
    assert len(reached) == count


def test_what_is_folded_opens_with_the_keyboard(open_page: OpenPage, scored: Path) -> None:
    page = open_page(scored / "index.html")
    settings = page.locator("tbody.method details.settings").first
    settings.locator("summary").focus()
    page.keyboard.press("Enter")
    assert settings.get_attribute("open") is not None


def test_a_long_board_draws_twelve_dose_charts_and_says_where_the_others_are(
    open_page: OpenPage, crowded: Path
) -> None:
    figure = open_page(crowded / "index.html").locator(f"#{BOARD} .figure", has_text="Dose and response")
    assert figure.locator("> .dose-panels > .dose").count() == 12
    assert figure.get_by_text("The charts of 8 other methods are on the pages of these methods.").count() == 1
