"""`benchmark/METHODS.md` tells the settings that the methods have, all of them and no other."""

import ast
import io
import re
import tokenize
from dataclasses import fields
from pathlib import Path

import pytest

from kdbench.api import BOTH, EVERY, Method
from kdbench.methods.directions import declared_directions
from kdbench.methods.files import list_submissions, submission_path
from kdbench.methods.loading import load_submission

PAGE = Path(__file__).parents[2] / "benchmark" / "METHODS.md"
PAPERS_METHODS = {"independent", "lm", "crd", "cskd", "vlfkd", "sskd", "capd"}
BOTH_OR_ANY = {"both": BOTH, "any": EVERY}


def sections() -> dict[str, str]:
    """What the page says under the heading of each method."""
    parts = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name.islower()}


def settings(section: str) -> dict[str, str]:
    """Setting and default of each row of a section's table."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, flags=re.MULTILINE))


def published(name: str) -> set[str]:
    """The directions in the overview's row of a method."""
    row = re.search(rf"^\| `{name}` \| ([^|]+) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert row
    words = row[1].strip()
    return set(BOTH_OR_ANY.get(words) or words.lower().replace(" ", "-").split(",-"))


def test_each_method_has_a_section() -> None:
    assert set(sections()) == set(list_submissions())


@pytest.mark.parametrize("name", list_submissions())
def test_a_section_lists_every_setting_with_its_default(name: str) -> None:
    config = load_submission(name).Config()
    expected = {field.name: str(getattr(config, field.name)) for field in fields(config)}
    assert {key: value.strip('"') for key, value in settings(sections()[name]).items()} == expected


@pytest.mark.parametrize("name", sorted(PAPERS_METHODS))
def test_the_overview_tells_the_directions_of_the_papers_methods(name: str) -> None:
    assert published(name) == set(load_submission(name).directions) & set(BOTH)


@pytest.mark.parametrize("name", sorted(set(list_submissions()) - PAPERS_METHODS))
def test_the_overview_tells_what_further_methods_are_published_for(name: str) -> None:
    method = load_submission(name)
    assert published(name) == set(method.directions)
    assert set(BOTH) <= set(declared_directions(method))
    assert method.images == Method.images  # as the page says of all of them


@pytest.mark.parametrize("name", sorted(PAPERS_METHODS))
def test_the_page_repeats_what_a_method_says_about_its_images(name: str) -> None:
    table = PAGE.read_text().partition("### Images")[2].partition("\n## ")[0]
    assert f"| `{name}` | {load_submission(name).images} |\n" in table


def lines_of_code(path: Path) -> int:
    """Number of lines without those that are empty or have comments and docstrings alone."""
    source = path.read_text()
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    docstrings = [
        node.body[0] for node in ast.walk(ast.parse(source)) if isinstance(node, documented) and ast.get_docstring(node)
    ]
    words = set(range(256)) - {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type in words]
    lines = {line for token in tokens if token.string for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - {line for node in docstrings for line in range(node.lineno, (node.end_lineno or 0) + 1)})


@pytest.mark.parametrize("name", list_submissions())
def test_the_page_has_the_source_the_summary_and_the_size_of_a_method(name: str) -> None:
    table = PAGE.read_text().partition("### Sources and sizes")[2].partition("\n## ")[0]
    row = re.search(rf"^\| `{name}` \| [^|]+ \| ([^|]+) \| ([^|]+) \| (\d+) \|$", table, flags=re.MULTILINE)
    assert row
    method = load_submission(name)
    assert method.paper in row[1]
    assert (row[2], int(row[3])) == (method.summary, lines_of_code(submission_path(name)))
