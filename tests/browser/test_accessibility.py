"""The checks of axe, in light, in dark and in print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.reading import OpenPage
from tests.browser.sites import BOARD

PAGES = ("index.html", f"boards/{BOARD}.html", "methods/lm.html", "controls/random-teacher.html")
LOOKS: Mapping[str, Any] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark", "viewport": {"width": 390, "height": 844}},
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_axe_has_nothing_to_say(name: str, look: str, open_page: OpenPage, scored: Path) -> None:
    results = Axe().run(open_page(scored / name, **LOOKS[look]))
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_has_nothing_to_say_about_long_and_hostile_names(look: str, open_page: OpenPage, crowded: Path) -> None:
    results = Axe().run(open_page(crowded / "index.html", **LOOKS[look]))
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", PAGES[:2])
def test_axe_has_nothing_to_say_about_print(name: str, open_page: OpenPage, scored: Path) -> None:
    page = open_page(scored / name)
    page.emulate_media(media="print")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
