"""Writes a method file to begin with, and its test."""

import re
from pathlib import Path
from string import Template

from kdbench.errors import InputError, WriteError
from kdbench.methods.inquiries import LONGEST_NAME, NAME_PATTERN, RESERVED_NAMES
from kdbench.resources import shipped

_FOLDER = ("benchmark", "scaffolds")


def write_method(name: str, kind: str, folder: Path) -> tuple[Path, Path]:
    """Write a method file and its test, and return their paths.

    Args:
        name: of the method, and of its file without the ending.
        kind: name of a file in `benchmark/scaffolds`: "loss", "step" or "prepare".
        folder: an existing folder.

    Raises:
        InputError: the name is not allowed, or a file exists already.
        WriteError: a file cannot be written.
    """
    if not re.fullmatch(NAME_PATTERN, name) or len(name) > LONGEST_NAME or name in RESERVED_NAMES:
        raise InputError(
            f"{name!r} is not allowed as the name of a method; use up to {LONGEST_NAME} lower-case letters, digits, - "
            f"and _, and none of: {', '.join(RESERVED_NAMES)}"
        )
    module = name.replace("-", "_")
    paths = folder / f"{name}.py", folder / f"test_{module}.py"
    for path in paths:
        if path.exists():
            raise InputError(f"{path} exists already; choose another name or another --folder")
    title = "".join(part.capitalize() for part in re.split("[-_]", name))
    words = {"name": name, "class_name": title if title.isidentifier() else f"Method{title}"}
    texts = [
        Template(shipped(*_FOLDER, f"{file}.py.txt").read_text(encoding="utf-8")).substitute(words)
        for file in (kind, f"test_{kind}")
    ]
    for path, text in zip(paths, texts, strict=True):
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise WriteError.at(path, error) from error
    return paths
