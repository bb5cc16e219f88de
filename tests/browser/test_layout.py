"""Pages on narrow and wide screens: nothing is wider than the screen, and no table is wider than its place."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.reading import OpenPage, overflows
from tests.browser.sites import BOARD

WIDTHS = (320, 390, 640, 768, 1024, 1230, 1280, 1440, 1920)
PAGES = ("index.html", f"boards/{BOARD}.html", "methods/lm.html")


def overflows_at(page: Page, width: int) -> list[str]:
    page.set_viewport_size({"width": width, "height": 800})
    return [f"{width} pixels: {fault}" for fault in overflows(page)]


@pytest.mark.parametrize("name", PAGES)
def test_a_scored_page_fits_every_width(name: str, open_page: OpenPage, scored: Path) -> None:
    page = open_page(scored / name)
    assert [fault for width in WIDTHS for fault in overflows_at(page, width)] == []


@pytest.mark.parametrize("name", PAGES)
def test_long_and_hostile_names_fit_every_width(name: str, open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / name)
    assert [fault for width in WIDTHS for fault in overflows_at(page, width)] == []


def test_the_page_of_a_method_with_a_long_name_fits(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(next((crowded / "methods").glob("xxx*.html")), viewport={"width": 320, "height": 800})
    assert overflows(page) == []
