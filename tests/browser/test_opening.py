"""Opening a page reads nothing but this page, and nothing goes wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.browser.reading import OpenPage, lines_of, names_shown, overflows, pages_of
from tests.browser.sites import BOARD

WITHOUT_SCRIPT: Mapping[str, Any] = {"java_script_enabled": False}


def test_no_page_reads_another_address_or_writes_a_message(browser: Browser, scored: Path, crowded: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    addresses: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("dialog", lambda dialog: messages.append(dialog.message))
    opened = [*pages_of(scored), *pages_of(crowded)]
    for path in opened:
        page.goto(path.as_uri())
    context.close()
    assert len(opened) > 20
    assert messages == []
    assert {address for address in addresses if not address.startswith("data:")} == {path.as_uri() for path in opened}


def test_hostile_names_stay_text(open_page: OpenPage, crowded: Path) -> None:
    page = open_page(crowded / "index.html")
    assert page.locator("img[onerror]").count() == 0
    assert page.locator("script").count() == 1


def test_every_link_leads_to_a_place_that_exists(open_page: OpenPage, scored: Path) -> None:
    missing = []
    for path in pages_of(scored):
        page = open_page(path)
        for address in page.locator("a[href]").evaluate_all("links => links.map((link) => link.href)"):
            file, _, place = str(address).partition("#")
            if not file.startswith("file:"):
                continue
            target = Path(file.removeprefix("file://"))
            if not target.is_file() or (place and f'id="{place}"' not in target.read_text(encoding="utf-8")):
                missing.append((path.name, address))
    assert missing == []


def test_without_javascript_the_page_says_the_same(open_page: OpenPage, crowded: Path) -> None:
    table = f"#{BOARD}--table"
    plain = open_page(crowded / "index.html", **WITHOUT_SCRIPT)
    lively = open_page(crowded / "index.html")
    assert names_shown(plain, BOARD) == names_shown(lively, BOARD)
    assert plain.locator("main").get_by_role("button").count() == 0
    assert plain.locator(".filter, .metric:visible").count() == 0
    assert lively.locator(f"{table} button.sort").count() == 10
    assert overflows(plain) == []


def test_without_javascript_the_axes_show_bias(open_page: OpenPage, scored: Path) -> None:
    path = scored / "boards" / "synthetic-planted-cnn-to-vit.html"
    plain, lively = (open_page(path, **options) for options in (WITHOUT_SCRIPT, {}))
    table = "table.networks >> nth=0"
    assert lines_of(plain, table) == lines_of(lively, table)
    assert plain.locator("td .as-accuracy:visible").count() == 0
    lively.get_by_role("radio", name="accuracy").check()
    assert lively.locator("td .as-bias:visible").count() == 0
    assert lively.locator("td .as-accuracy:visible").count() > 0
