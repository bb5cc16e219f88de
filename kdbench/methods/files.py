"""Finds, reads and hashes method files. This module does not import them; `loading` does."""

import ast
import hashlib
import io
import tokenize
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from kdbench.errors import SubmissionError, describe_error
from kdbench.resources import PACKAGE, shipped

MOST_BYTES = 2**20
BLOCKS = PACKAGE / "blocks.py"
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
            raise SubmissionError(f"method file {path} does not exist; give the path of a .py file")
        return path.resolve()
    known = list_submissions()
    if name_or_path not in known:
        raise SubmissionError(
            f"unknown method {name_or_path!r}; known: {', '.join(known)}; or give the path of a .py file"
        )
    return shipped(*_FOLDER, f"{name_or_path}.py")


@dataclass(frozen=True)
class MethodFile:
    """A method file, which is read only once: the hashed bytes are those that are run.

    Attributes:
        path: of the file.
        source: its bytes.
        code: SHA-256 of its syntax tree, in hexadecimal; comments, docstrings and layout do not count. If it imports
            `kdbench.blocks`, the syntax tree of that module is part of it.
    """

    path: Path
    source: bytes
    code: str


def read_method_file(path: Path) -> MethodFile:
    """Read a method file and hash its code, without running it.

    Raises:
        SubmissionError: the file cannot be read, is too long, or is not Python in UTF-8.
    """
    source = read_source(path)
    tree = _parsed(source, path)
    try:
        code = _canonical(tree)
        if any(map(_imports_blocks, ast.walk(tree))):
            code += "\n" + _code_of_blocks(read_source(BLOCKS))
        digest = hashlib.sha256(code.encode()).hexdigest()
    except (RecursionError, MemoryError, ValueError) as error:
        raise SubmissionError(f"{path} nests its code too deeply to be read: {type(error).__name__}") from error
    return MethodFile(path, source, digest)


@lru_cache(maxsize=1)
def _code_of_blocks(source: bytes) -> str:
    """Return the syntax tree of `kdbench.blocks` as text, which many method files share."""
    return _canonical(_parsed(source, BLOCKS))


def _imports_blocks(node: ast.AST) -> bool:
    """Return whether a node of a syntax tree imports `kdbench.blocks` or something from it."""
    if isinstance(node, ast.Import):
        return any(alias.name == "kdbench.blocks" for alias in node.names)
    if not isinstance(node, ast.ImportFrom):
        return False
    return node.module == "kdbench.blocks" or (
        node.module == "kdbench" and any(alias.name in ("blocks", "*") for alias in node.names)
    )


def read_source(path: Path) -> bytes:
    """Return the bytes of a method file; SubmissionError if it cannot be read or is too long."""
    try:
        with path.open("rb") as file:
            source = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SubmissionError(f"method file {path} cannot be read: {error.strerror}") from error
    if len(source) > MOST_BYTES:
        raise SubmissionError(
            f"method file {path} has more than {MOST_BYTES:,} bytes; a method file may contain source code only"
        )
    return source


def _parsed(source: bytes, path: Path) -> ast.Module:
    """Return the syntax tree of a file; SubmissionError if it is not Python in UTF-8."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        if encoding not in ("utf-8", "utf-8-sig"):  # in other encodings, code could look different from what it does
            raise SubmissionError(f"{path} declares the encoding {encoding!r}; write the file in UTF-8")
        source.decode(encoding)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except UnicodeDecodeError as error:
        raise SubmissionError(f"{path} is not in UTF-8: byte {error.start} is not part of a character") from error
    except (SyntaxError, ValueError) as error:
        place = f"{path}:{error.lineno}:" if isinstance(error, SyntaxError) and error.lineno else f"{path}:"
        raise SubmissionError(f"{place} the file is not Python: {describe_error(error)}") from error
    except (RecursionError, MemoryError) as error:
        raise SubmissionError(f"{path} nests its code too deeply to be read: {type(error).__name__}") from error


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
