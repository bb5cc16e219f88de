"""Method files as text: where they lie, and a digest of their code. `loading` imports them; nothing here does."""

import ast
import hashlib
from pathlib import Path
from typing import Any

from kdbench.errors import SubmissionError, describe_error
from kdbench.resources import shipped

_FOLDER = ("benchmark", "submissions")


def list_submissions() -> list[str]:
    """Return the names of the methods in `benchmark/submissions`, sorted."""
    return sorted(path.stem for path in shipped(*_FOLDER).glob("*.py") if not path.stem.startswith("_"))


def submission_path(name_or_path: str | Path) -> Path:
    """Return the file of a method, given its name in `benchmark/submissions` or a path that ends in `.py`.

    Raises:
        SubmissionError: there is no such name (the message lists the known ones) or no such file.
    """
    if isinstance(name_or_path, Path) or name_or_path.endswith(".py"):
        path = Path(name_or_path)
        if not path.is_file():
            raise SubmissionError(f"method file {path} does not exist")
        return path.resolve()
    known = list_submissions()
    if name_or_path not in known:
        raise SubmissionError(
            f"unknown method {name_or_path!r}; known: {', '.join(known)}; or give the path of a .py file"
        )
    return shipped(*_FOLDER, f"{name_or_path}.py")


def read_method_file(path: Path) -> bytes:
    """Return the bytes of a method file; SubmissionError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"method file {path} cannot be read: {error.strerror}") from error


def code_digest(path: Path) -> str:
    """Return the SHA-256 of a Python file's syntax tree, in hexadecimal; comments, docstrings and layout do not count.

    Raises:
        SubmissionError: the file cannot be read or is not Python.
    """
    try:
        tree = ast.parse(read_method_file(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SubmissionError(f"{path} is not Python: {describe_error(error)}") from error
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()


def _canonical(node: object) -> str:
    """Return a syntax tree as text. Empty fields are left out, so that Python versions that add fields agree."""
    if isinstance(node, list):
        return f"[{','.join(_canonical(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    named: dict[str, Any] = {name: getattr(node, name, None) for name in node._fields if name not in ("kind", "ctx")}
    if _has_docstring(node):
        named["body"] = named["body"][1:]
    inner = ",".join(
        f"{name}={_canonical(value)}" for name, value in named.items() if value is not None and value != []
    )
    return f"{type(node).__name__}({inner})"


def _has_docstring(node: ast.AST) -> bool:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None
