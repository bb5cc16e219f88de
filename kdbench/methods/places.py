"""Finds the line of a method file that an error comes from."""

import ast
import inspect
import sys
import traceback
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

from kdbench.api import Method


def file_of(method: type[Method]) -> str | None:
    """Return the path of the file that defines a method, as its code objects name it."""
    return getattr(sys.modules.get(method.__module__), "__file__", None)


def own_name(method: type[Method], function: str) -> str:
    """Return the function of a method that runs: `loss` if the harness calls a `step` that the method inherits."""
    return "loss" if function == "step" and method.step is Method.step else function


def place_of_definition(method: type[Method], function: str) -> str:
    """Return "FILE:LINE: " of the definition of a function that a method overrides; nothing for another one."""
    code: CodeType | None = getattr(inspect.unwrap(getattr(method, function)), "__code__", None)
    if code is None or code.co_filename != file_of(method):
        return ""
    return _place(code.co_filename, code.co_firstlineno)


def place_of_error(trace: TracebackType | None, file: str) -> str:
    """Return "FILE:LINE: " of the innermost line of a file in a traceback.

    If the harness raised the error when the file's code had returned, this is the definition of the method's function.
    """
    frames = [(entry.f_code.co_filename, line, entry.f_locals) for entry, line in traceback.walk_tb(trace)]
    lines = [line for name, line, _ in frames if name == file]
    if lines:
        return _place(file, lines[-1])
    methods = [type(held["self"]) for _, _, held in frames if _is_method_in(held.get("self"), file)]
    return place_of_definition(methods[-1], own_name(methods[-1], "step")) if methods else ""


def line_in_class(source: bytes, name: str, member: str) -> int | None:
    """Return the line in which a class sets or defines a member, else that of the class; None if it is not there.

    Args:
        source: of the file.
        name: of the class.
        member: a variable, a function or a class in it.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            lines = [entry.lineno for entry in node.body if member in _names_set_by(entry)]
            return lines[-1] if lines else node.lineno
    return None


def _names_set_by(entry: ast.stmt) -> set[str]:
    """Return the names that a statement in the body of a class sets."""
    if isinstance(entry, ast.ClassDef | ast.FunctionDef):
        return {entry.name}
    return {node.id for node in ast.walk(entry) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _is_method_in(value: Any, file: str) -> bool:
    return issubclass(type(value), Method) and file_of(type(value)) == file


def _place(file: str, line: int) -> str:
    return f"{Path(file).name}:{line}: "
