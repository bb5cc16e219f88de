"""A browser that is installed already, and the sites that it opens."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.reading import BROWSERS, OpenPage
from tests.browser.sites import crowded_site, scored_site

PATIENCE = 120_000  # milliseconds, on a machine with other work


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Return a browser of the machine, or skip the test where there is none."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is installed; looked for {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site that was scored from records."""
    return scored_site(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="session")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a site with many rows, and with names that are long or hostile."""
    return crowded_site(tmp_path_factory.mktemp("crowded"))


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    contexts = []

    def opened(path: Path, *, address: str = "", **options: Any) -> Page:
        context = browser.new_context(**({"reduced_motion": "reduce"} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(path.as_uri() + address)
        return page

    yield opened
    for context in contexts:
        context.close()
