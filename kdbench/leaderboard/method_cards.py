"""Who a method is: its full name, its paper and what it does, as the shipped method file says. No code of it is run."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from kdbench.methods.files import MethodFile, read_method_file
from kdbench.resources import shipped

_FOLDERS = (("benchmark", "submissions"), ("benchmark", "controls"))
_CITED = re.compile(
    r"(?P<title>.+?): (?P<authors>[A-Z][^():]*) \((?P<year>\d{4})\)"
    r'(?:, "(?P<work>[^"]+)")?(?:, (?P<venue>[A-Z][A-Za-z ]+))?(?:, arXiv:(?P<arxiv>\d{4}\.\d{4,5}))?'
)


@dataclass(frozen=True)
class MethodCard:
    """A method for people.

    Attributes:
        title: its name in words: "Logit matching".
        summary: what it does, in a few words.
        authors, year, work, venue, arxiv: of its paper; empty where the file names none.
        source: the bytes of its file.
    """

    title: str
    summary: str
    authors: str = ""
    year: str = ""
    work: str = ""
    venue: str = ""
    arxiv: str = ""
    source: bytes = b""

    @property
    def link(self) -> str:
        """The address of the paper; empty without one."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else ""

    @property
    def citation(self) -> str:
        """Authors and year; empty without a paper."""
        return f"{self.authors} ({self.year})" if self.authors else ""

    def full_name(self, name: str) -> str:
        """Return what a method is called beside its short name: the paper's title where the file repeats the name."""
        head = self.title.split(": ")[0].lower().replace("-", "")
        return self.work if self.work and head in (name, f"{name}kd") else self.title


def shipped_cards() -> dict[str, MethodCard]:
    """Return the cards of all shipped methods and controls, by the digest of their code."""
    paths = (path for folder in _FOLDERS for path in sorted(shipped(*folder).glob("*.py")))
    files = (read_method_file(path) for path in paths if not path.name.startswith("_"))
    return {file.code: card_of(file) for file in files}


def card_of(file: MethodFile) -> MethodCard:
    """Return the card of a method file, from the first paragraph of its docstring and its class variables."""
    tree = ast.parse(file.source)
    first = " ".join((ast.get_docstring(tree) or file.path.stem).split("\n\n")[0].replace("`", "").split())
    summary = next(_texts(tree, "summary"), "")
    cited = _CITED.match(first)
    if cited is None:
        return MethodCard(first.split(": ")[0].rstrip("."), summary, source=file.source)
    return MethodCard(
        summary=summary, source=file.source, **{key: value or "" for key, value in cited.groupdict().items()}
    )


def _texts(tree: ast.Module, name: str) -> Iterator[str]:
    """Yield the strings that the classes of a file assign to a class variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            if isinstance(value, str):
                yield value
