"""What a reader sees of a page that is open."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Elements that are wider than the page or than their own box, with how they differ.
_OVERFLOWS = """() => {
  const page = document.documentElement.clientWidth;
  const whole = document.documentElement.scrollWidth;
  const faults = whole > page ? [`the page: ${whole} in ${page}`] : [];
  const name = (element) => `${element.tagName}.${element.className} ${element.textContent.trim().slice(0, 40)}`;
  for (const element of document.querySelectorAll("main *, nav, header *, footer *")) {
    if (element.closest("svg, .hidden, .source, .bar ul") || !element.getClientRects().length) continue;
    const box = element.getBoundingClientRect();
    if (box.right > page + 0.5 || box.left < -0.5) faults.push(`${name(element)}: ${box.left} to ${box.right}`);
    const clipped = /^(TABLE|TD|TH|P|LI|DT|DD|CAPTION|FIGCAPTION|H1|H2|H3|H4|PRE|DIV)$/.test(element.tagName);
    const drawn = element.matches(".track, .cell, .plot, .epochs, .scale, .ticks");
    if (clipped && !drawn && element.scrollWidth > element.clientWidth + 1)
      faults.push(`${name(element)}: ${element.scrollWidth} in ${element.clientWidth}`);
  }
  return faults;
}"""

# Per line of a table: the name of its row, and the text of its cells by their labels.
_LINES = """(table) => [...table.tBodies].filter((body) => !body.matches(".group")).flatMap((body) => {
  const who = body.querySelector(".who .name");
  return [...body.rows].filter((row) => !row.matches(".notes")).map((row) => [
    who ? who.textContent.trim() : row.cells[0].textContent.trim(),
    Object.fromEntries([...row.cells].map((cell) => [cell.dataset.label || "", cell.innerText])),
  ]);
})"""


class OpenPage(Protocol):
    """Opens a file of a site in a window of its own; options go to the browser's context."""

    def __call__(self, path: Path, *, address: str = "", **options: Any) -> Page: ...


def overflows(page: Page) -> list[str]:
    """Return a sentence about each element that is wider than the page or than its box."""
    return cast(list[str], page.evaluate(_OVERFLOWS))


def lines_of(page: Page, table: str) -> Sequence[tuple[str, dict[str, str]]]:
    """Return per line of a table the name of its row and its cells by their labels."""
    return cast(Sequence[tuple[str, dict[str, str]]], page.locator(table).evaluate(_LINES))


def names_shown(page: Page, board: str) -> list[str]:
    """Return the names of the methods of a board that are shown, from top to bottom."""
    return page.locator(f"#{board}--table tbody.method:visible .who .name").all_inner_texts()


def pages_of(site: Path) -> list[Path]:
    """Return the files of all pages of a site."""
    return sorted(site.rglob("*.html"))
