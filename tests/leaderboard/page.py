"""A page as a strict reader sees it."""

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "img", "input", "br", "hr", "wbr"}
SELF_CLOSED = {"path", "rect", "line", "circle", "polyline", "polygon"}


class Page(HTMLParser):
    """A page that was parsed; tags that do not match are an error.

    Attributes:
        tags: every start tag with its attributes, in order.
        text: what a reader sees, with white space collapsed.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self._text: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join("".join(self._text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._text += " " * (tag in ("td", "th"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SELF_CLOSED
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self._text.append(data)


def pages_in(folder: Path) -> dict[str, Page]:
    """The pages of a folder, by file name without its end."""
    return {path.stem: Page(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.html"))}


def boards_text(site: Path) -> str:
    """What a reader sees on the pages with all numbers of the boards."""
    return " ".join(page.text for page in pages_in(site / "boards").values())
