"""Imports method files, checks their classes against the contract and reads their configs.

There is no registry. A method is the only `Method` class of a file, which is given by its name in
`benchmark/submissions` or by its path.
"""

import dataclasses
import hashlib
import importlib.util
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard, get_args

from pydantic import TypeAdapter, ValidationError

from kdbench.api import Method, OutputField
from kdbench.errors import SubmissionError, describe_error
from kdbench.methods.files import read_source, submission_path
from kdbench.methods.inquiries import LONGEST_NAME, LONGEST_TEXT, MOST_VIEWS, NAME_PATTERN, RESERVED_NAMES
from kdbench.methods.places import line_in_class, place_of_error
from kdbench.spec import DIRECTIONS

_CLASS_VARIABLES = ("name", "paper", "summary", "directions", "Config")
_FLAGS = ("uses_teacher", "per_sample")
OUTPUT_FIELDS: tuple[str, ...] = get_args(OutputField)
_CHOICES: dict[str, tuple[str, ...]] = {"directions": DIRECTIONS, "beyond_paper": DIRECTIONS, "needs": OUTPUT_FIELDS}
_OPTIONAL = ("beyond_paper",)  # of these choices, those that may be empty


def load_submission(name_or_path: str | Path, shown: Path | None = None) -> type[Method]:
    """Return the method class of a file. Loading an unchanged file twice returns the same class.

    Args:
        name_or_path: name of a shipped method, or path of a file.
        shown: the path in messages, if the file is a copy of another one; None for the path of the file.

    Raises:
        SubmissionError: the file is not found, does not import, or breaks the contract; one sentence says how.
    """
    path = submission_path(name_or_path)
    shown = shown or path
    module = _imported(path, shown)
    methods = [value for value in vars(module).values() if _is_method_of(value, module)]
    if not methods:
        raise SubmissionError(f"{shown} defines no subclass of kdbench.api.Method; it needs one")
    if len(methods) > 1:
        names = ", ".join(method.__name__ for method in methods)
        raise SubmissionError(f"{shown} defines {len(methods)} subclasses of Method ({names}); keep one per file")
    _check(methods[0], path, shown)
    return methods[0]


def _imported(path: Path, shown: Path) -> ModuleType:
    """Import a file as a module whose name depends on its content, so that dataclasses and pickles can find it."""
    identity = hashlib.sha256(str(path).encode() + b"\n" + read_source(path)).hexdigest()[:16]
    name = f"kdbench_submission_{identity}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        place = f"{shown}:{_line_of(error, path)}"
        raise SubmissionError(f"{place}: the file does not import: {describe_error(error)}{_remedy(error)}") from error
    return module


def _line_of(error: BaseException, path: Path) -> int:
    """Return the line of a file at which its import failed; 1 if none of its lines ran."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    place = place_of_error(error.__traceback__, str(path)).removesuffix(": ")
    return int(place.rpartition(":")[2]) if place else 1


def _remedy(error: BaseException) -> str:
    """Return what to do about a missing module, as the end of a sentence."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    return f"; a method is one file: install the package {error.name.split('.')[0]!r}, or move its code into the file"


def _is_method_of(value: object, module: ModuleType) -> TypeGuard[type[Method]]:
    is_method = isinstance(value, type) and issubclass(value, Method) and value is not Method
    return is_method and getattr(value, "__module__", None) == module.__name__


def _check(method: type[Method], path: Path, shown: Path) -> None:
    """Raise SubmissionError for the first breach of the contract."""
    member, breach = next(_breaches(method), ("", ""))
    if breach:
        line = line_in_class(read_source(path), method.__name__, member)
        place = f"{shown}:{line}" if line else f"{shown}"
        raise SubmissionError(f"{place}: {method.__name__} {breach}")


def _breaches(method: type[Method]) -> Iterator[tuple[str, str]]:
    """Yield each breach of the contract, after the member of the class that breaks it."""
    missing = [name for name in _CLASS_VARIABLES if not hasattr(method, name)]
    if missing:
        yield "", f"lacks the class variable{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        return
    yield from (("name", breach) for breach in _breaches_of_name(method.name))
    texts = {name: getattr(method, name) for name in ("summary", "paper", "images")}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            yield name, f"has {name} that is not a string of at most {LONGEST_TEXT} characters"
    if _shows_its_own_images(method) and not _states_images(method):
        member = "step" if method.step is not Method.step else "prepare"
        yield member, "defines `step` or `prepare`, so it must say in `images` what it shows to either network"
    for flag in _FLAGS:
        if not isinstance(value := getattr(method, flag), bool):
            yield flag, f"has {flag} = {value!r}; it must be True or False"
    yield from (("views", breach) for breach in _breaches_of_views(method.views))
    for name, allowed in _CHOICES.items():
        value = getattr(method, name)
        if value != () or name not in _OPTIONAL:
            yield from ((name, breach) for breach in _breaches_of_choice(name, value, allowed))
    if method.loss is Method.loss and method.step is Method.step:
        yield "", "defines neither `loss` nor `step`"
    yield from (("Config", breach) for breach in _breaches_of_config(method.Config))


def _breaches_of_name(name: object) -> Iterator[str]:
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        yield f"has the name {name!r}; allowed are lower-case letters, digits, - and _"
    elif len(name) > LONGEST_NAME:
        yield f"has a name of {len(name)} characters; at most {LONGEST_NAME} are allowed"
    elif name in RESERVED_NAMES:
        yield f"has the name {name!r}, which is reserved; choose another"


def _breaches_of_views(views: object) -> Iterator[str]:
    if isinstance(views, bool) or not isinstance(views, int | float):
        yield f"has views = {views!r}; it must be a number"
    elif not 1 <= views <= MOST_VIEWS:
        yield f"has views = {views!r}; it must be from 1 to {MOST_VIEWS}"


def _shows_its_own_images(method: type[Method]) -> bool:
    """Return whether a method may show other images than the harness does for it."""
    return method.step is not Method.step or method.prepare is not Method.prepare


def _states_images(method: type[Method]) -> bool:
    """Return whether the class or one of its own bases has `images`."""
    return any("images" in vars(base) for base in takewhile(lambda base: base is not Method, method.__mro__))


def _breaches_of_choice(name: str, value: object, allowed: tuple[str, ...]) -> Iterator[str]:
    """Yield a breach if a value is not a tuple or set of allowed words."""
    is_several = isinstance(value, tuple | list | set | frozenset) and value
    if not is_several or any(word not in allowed for word in value):  # type: ignore[attr-defined]
        yield f"has {name} = {value!r}; it must be a tuple or frozenset of: {', '.join(allowed)}"


def _breaches_of_config(config: object) -> Iterator[str]:
    if not isinstance(config, type) or not dataclasses.is_dataclass(config):
        yield "has a Config that is not a dataclass; write @dataclass(frozen=True) above it"
        return
    if not config.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        yield "has a Config that is not frozen; write @dataclass(frozen=True) above it"
    try:
        json.dumps(dataclasses.asdict(config()))
    except Exception as error:  # a default's own check may raise anything
        yield f"has a Config whose defaults cannot be made and written as JSON: {describe_error(error)}"


def parse_config(method: type[Method], values: Mapping[str, Any]) -> Any:
    """Return an instance of the method's `Config`, with `values` in place of its defaults.

    Args:
        method: a checked method.
        values: by field; strings from a command line, or JSON values from a record.

    Raises:
        SubmissionError: a field is unknown, has a wrong type, is not finite, or is refused by the `Config` itself.
    """
    fields = [field.name for field in dataclasses.fields(method.Config)]
    unknown = [key for key in values if key not in fields]
    if unknown:
        allowed = ", ".join(fields) or "none"
        raise SubmissionError(f"method {method.name!r} has no setting {unknown[0]!r}; allowed: {allowed}")
    adapter: TypeAdapter[Any] = TypeAdapter(method.Config)
    try:
        config = adapter.validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
    else:
        for key, value in vars(config).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise SubmissionError(f"setting {method.name}.{key} = {value}: it must be a finite number")
        return config
    setting = ".".join([method.name, *(str(part) for part in first["loc"])])
    seen = f" = {first['input']!r}" if first["loc"] else ""
    raise SubmissionError(
        f"setting {setting}{seen}: {first['msg'].removeprefix('Value error, ').replace('Input should', 'it should')}"
    )
