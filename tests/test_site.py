"""The documentation site is built without a warning, agrees with the repository, and loads nothing from elsewhere."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
from markdown_it import MarkdownIt

from kdbench.cli.main import app
from kdbench.testsets.spec import load_spec

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob("datasets/*/*.md"),
    *ROOT.glob("benchmark/**/*.md"),
    *ROOT.glob("leaderboard/results/*.md"),
]
PARTS = ("h1", "h2", "h3", "h4", "li", "ol", "ul", "table", "tr", "td", "pre", "img", "blockquote", "strong", "em")
LOADING = {"src", "srcset", "data", "poster"}  # attributes whose address a browser loads


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Build the site strictly; its folder is the last argument of the command."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def site(build: subprocess.CompletedProcess[str]) -> Path:
    return Path(build.args[-1])


def page_of(document: Path, site: Path) -> Path:
    """Return the page of a document: a README is the index of its folder."""
    name = "index.html" if document.name == "README.md" else f"{document.stem}.html"
    return site / document.relative_to(ROOT).parent / name


def parts_of(html: str) -> dict[str, int]:
    """Return how many elements of each kind a text in HTML has."""
    return {part: len(re.findall(rf"<{part}[\s>]", html)) for part in PARTS}


class LoadedAddresses(HTMLParser):
    """Collects the addresses that a browser loads when it shows a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loading = LOADING | ({"href"} if tag in ("link", "use", "image") else set())
        self.addresses += [value for name, value in attrs if name in loading and value]


def loaded(text: str, kind: str) -> list[str]:
    """Return the addresses that a file of the site loads, where it is HTML or CSS."""
    if kind == ".html":
        return LoadedAddresses(text).addresses + loaded("".join(re.findall(r"<style>.*?</style>", text, re.S)), ".css")
    return re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", text)


def is_foreign(address: str) -> bool:
    return bool(re.match(r"(https?:)?//", address))


@pytest.mark.parametrize(
    ("text", "kind", "foreign"),
    [
        ('<script src="https://example.org/a.js"></script><a href="https://example.org/">a</a>', ".html", 1),
        ('<link rel="stylesheet" href="//example.org/a.css"><img src="../a.png">', ".html", 1),
        ("@import 'https://example.org/a.css'; a { background: url(b.png) }", ".css", 1),
        ('<a href="https://example.org/">a</a>', ".html", 0),
    ],
)
def test_addresses_on_other_hosts_are_found(text: str, kind: str, foreign: int) -> None:
    assert sum(map(is_foreign, loaded(text, kind))) == foreign


def test_the_site_is_built_without_a_warning(build: subprocess.CompletedProcess[str]) -> None:
    assert build.returncode == 0, build.stdout + build.stderr


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    addresses = {address for path in files for address in loaded(path.read_text(encoding="utf-8"), path.suffix)}
    assert any("assets/javascripts/" in address for address in addresses)
    assert sorted(filter(is_foreign, addresses)) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_the_same_parts_on_the_site_and_in_the_repository(document: Path, site: Path) -> None:
    """The site and GitHub read Markdown differently, for example lists without an empty line before them."""
    page = page_of(document, site).read_text(encoding="utf-8")
    article = page[page.index("<article") : page.index("</article>")]
    in_the_repository = MarkdownIt("commonmark").enable("table").render(document.read_text(encoding="utf-8"))
    assert parts_of(article) == parts_of(in_the_repository)


def commands_below(command: Any, name: str = "kdbench") -> Iterator[str]:
    """Yield the full names of the commands of a group."""
    for word, below in getattr(command, "commands", {}).items():
        yield f"{name} {word}"
        yield from commands_below(below, f"{name} {word}")


def test_the_reference_has_every_command(site: Path) -> None:
    text = (site / "docs" / "reference" / "commands.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h[23] id=\"[^\"]+\"><code>([^<]+)</code>", text)
    assert sorted(headings) == sorted(commands_below(typer.main.get_command(app)))


def test_the_reference_has_the_values_of_the_spec(site: Path) -> None:
    text = (site / "docs" / "reference" / "spec.html").read_text(encoding="utf-8")
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text, re.S)]
    rows = Counter(cell[0] for cell in cells if cell)
    by_key = {cell[0]: cell[1:] for cell in cells if cell and rows[cell[0]] == 1}
    spec = load_spec()
    assert by_key["<code>ranked_seeds</code>"][0] == str(spec.scoring.ranked_seeds)
    assert by_key["<code>num_train</code>"] == [f"{track.data.num_train:,}" for track in spec.tracks.values()]


def test_the_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    pages = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {str(page_of(document, site).relative_to(site)) for document in DOCUMENTS} <= pages | {"index.html"}


@pytest.mark.parametrize("name", ["library", "contract", "blocks", "spec"])
def test_the_tables_of_the_reference_have_one_name_per_row(name: str, site: Path) -> None:
    """A docstring that describes two arguments in one line would make the second one the type of the first."""
    text = (site / "docs" / "reference" / f"{name}.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<table>", text)) > 1
    assert re.findall(r">(\w+),</(?:span|code)>", text) == []
