"""Rules for names and imports, of the package and of its tests."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "kdbench"
LONGEST_NAME = 80  # characters
NOT_IN_THE_PACKAGE = {
    "fuzz",
    "hostile",
    "golden",
    "submissions",
    "browser",
}  # vectors from outside, the tests of benchmark/submissions, and those of the page in a browser
NOT_NOUNS = {"one", "same", "found", "beside", "told", "asked", "said"}
MODULES = sorted(TESTS.rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_modules(path: Path) -> set[str]:
    """Return the dotted name of every module that a file may import, names imported from a package included."""
    names: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def is_collected(module: str) -> bool:
    """Whether pytest itself imports a module of this folder: as tests, or as a conftest.py."""
    parts = module.split(".")
    return parts[0] == "tests" and (parts[-1] == "conftest" or any(part.startswith("test_") for part in parts))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_module_imports_tests_or_a_conftest(path: Path) -> None:
    assert sorted(filter(is_collected, imported_modules(path))) == []


def test_names_of_tests_are_at_most_80_characters_long() -> None:
    names = {node.name for path in MODULES for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)}
    assert sorted(name for name in names if name.startswith("test_") and len(name) > LONGEST_NAME) == []


def test_folders_of_tests_are_those_of_the_package() -> None:
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and any(path.glob("[!_.]*"))}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders - NOT_IN_THE_PACKAGE == packages


def test_no_two_classes_of_the_package_have_one_name() -> None:
    classes = Counter(
        node.name for path in PACKAGE.rglob("*.py") for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_names_of_variables_are_nouns() -> None:
    functions = [
        node
        for path in [*PACKAGE.rglob("*.py"), *MODULES]
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.Lambda)
    ]
    variables = {
        node.id if isinstance(node, ast.Name) else node.arg
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Name | ast.arg)
    }
    assert "path" in variables
    assert sorted(variables & NOT_NOUNS) == []


def test_no_message_asks_to_delete_a_file() -> None:
    """It may be somebody else's; a message says where to move it, or how to go on without it."""
    texts = [
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert any("move " in text for text in texts)
    assert [text for text in texts if re.search(r"\bdelete (it\b|or\b|the f|$)", text)] == []
