"""Hypothesis strategies that damage files: bytes, JSON, TOML, arrays and zip archives."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

RAW_JSON = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-0",
        "9" * 25,
        "9" * 400,
        "9" * 5000,
        "1e-400",
        "0.1",
        "-1",
        "true",
        "null",
    ),
    *('""', '"\\u0000"', '"\\ud800"', '"\\u001b[31m"', '"a\\nb"', f'"{"x" * 100_000}"', '"../../etc"', '"nan"'),
    *("[]", "{}", "[null]", '{"a": 1, "a": 2}', "[" * 200 + "]" * 200, "[" * 20_000 + "]" * 20_000, '{"a":' * 20_000),
)
RAW_TOML = (
    *("nan", "inf", "-1", "0", "9223372036854775808", "9" * 5000, "1e999", "true", "1979-05-27", "07:32:00", "[]"),
    *('""', '"\\u0000"', '"\\u001b[31m"', '"a\\nb"', f'"{"x" * 10_000}"', "'''\n\n'''", '"../.."', "0x1F", "[[]]"),
    *("{}", "{a = 1}", "{a.b.c = 1}", "[" * 500 + "]" * 500, "[" * 20_000 + "]" * 20_000, "[1, 'a']", "[nan]"),
)
_PIECES = (b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b'"', b"[", b"{", b"PK\x03\x04", b"\x00" * 64)
_POSITIONS = st.integers(0, 2**32 - 1)


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes, *, most_edits: int = 4) -> bytes:
    """Draw a content as it is, or with bytes changed, removed, inserted, repeated or cut off, or any bytes at all."""
    if draw(st.integers(0, 30)) == 0:
        return draw(st.binary(max_size=300))
    for _ in range(draw(st.integers(0, most_edits))):
        start = draw(_POSITIONS) % (len(content) + 1)
        end = min(len(content), start + draw(st.sampled_from((1, 1, 2, 4, 16, 300))))
        match draw(st.integers(0, 5)):
            case 0:
                flipped = bytes(byte ^ (1 << draw(st.integers(0, 7))) for byte in content[start : start + 1])
                content = content[:start] + flipped + content[start + 1 :]
            case 1:
                content = content[:start] + content[end:]
            case 2:
                content = content[:start] + draw(st.sampled_from(_PIECES) | st.binary(max_size=8)) + content[start:]
            case 3:
                content = content[:end] + content[start:]
            case 4:
                content = content[:start]
            case 5:
                content = content[:start] + draw(st.binary(max_size=4)) + content[end:]
    return content


class _Raw(str):
    """JSON that is written as it is."""


class _Table(list[list[Any]]):
    """A JSON object as pairs, so that a key may stand twice."""


def _parsed(value: Any) -> Any:
    return json.loads(value, object_pairs_hook=lambda pairs: _Table([key, item] for key, item in pairs))


def _rendered(value: Any) -> str:
    if isinstance(value, _Raw):
        return str(value)
    if isinstance(value, _Table):
        return "{" + ", ".join(f"{json.dumps(key)}: {_rendered(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_rendered, value)) + "]"
    return json.dumps(value)


def _places(value: Any) -> list[tuple[list[Any], int]]:
    """Return every place in a JSON value: a list and a position in it."""
    places = []
    if isinstance(value, _Table):
        for pair in value:
            places += [(pair, 1), *_places(pair[1])]
    elif isinstance(value, list):
        for position, item in enumerate(value):
            places += [(value, position), *_places(item)]
    return places


def _tables(value: Any) -> list[_Table]:
    inner = [table for holder, position in _places(value) for table in _tables_at(holder[position])]
    return [*_tables_at(value), *inner]


def _tables_at(value: Any) -> list[_Table]:
    return [value] if isinstance(value, _Table) else []


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON_VALUES: SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged_json(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a JSON document as it is, or with values, keys or bytes changed."""
    if draw(st.integers(0, 4)) == 0:
        return draw(damaged_bytes(content))
    if draw(st.integers(0, 20)) == 0:
        return draw(JSON_VALUES.map(json.dumps)).encode()
    root = [_parsed(content)]
    for _ in range(draw(st.integers(0, 3))):
        _edit_json(draw, root)
    text = _rendered(root[0]).encode("utf-8", "surrogatepass")
    prefix = draw(st.sampled_from((b"", b"", b"", b"", b"\xef\xbb\xbf", b" \n")))
    return prefix + text


def _edit_json(draw: st.DrawFn, root: list[Any]) -> None:
    places, tables = _places(root), [table for table in _tables(root) if table]
    holder, position = places[draw(_POSITIONS) % len(places)]
    if not tables or draw(st.booleans()):
        holder[position] = draw(st.sampled_from(RAW_JSON).map(_Raw) | JSON_VALUES.map(lambda v: _Raw(json.dumps(v))))
        return
    table = tables[draw(_POSITIONS) % len(tables)]
    at = draw(_POSITIONS) % len(table)
    match draw(st.integers(0, 3)):
        case 0:
            del table[at]
        case 1:
            table[at] = [
                draw(st.text(max_size=12) | st.sampled_from(("", "\x1b[31m", "a\nb", "x" * 5000))),
                table[at][1],
            ]
        case 2:
            table.append([table[at][0], draw(st.sampled_from(RAW_JSON).map(_Raw))])
        case 3:
            table[at] = [table[at][0], deepcopy(table[draw(_POSITIONS) % len(table)][1])]


@st.composite
def damaged_toml(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a TOML document as it is, or with lines or bytes changed."""
    if draw(st.integers(0, 4)) == 0:
        return draw(damaged_bytes(content))
    lines = content.decode().split("\n")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(_POSITIONS) % len(lines)
        key, equals, _ = lines[at].partition("=")
        match draw(st.integers(0, 5)):
            case 0:
                del lines[at : at + 1]
                lines = lines or [""]
            case 1:
                lines.insert(at, lines[draw(_POSITIONS) % len(lines)])
            case 2:
                lines[at] = draw(st.text(max_size=12)) + equals + " " + draw(st.sampled_from(RAW_TOML))
            case _ if equals:
                lines[at] = f"{key}= {draw(st.sampled_from(RAW_TOML))}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


_DTYPES = ("i1", "<i2", ">i4", "<u8", "<f2", "<f4", "<f8", "<c8", "?", "S3", "<U2", "<M8[s]")
_RESHAPES: tuple[Callable[[NDArray[Any]], NDArray[Any]], ...] = (
    lambda array: array[:0],
    lambda array: array[:1],
    lambda array: array[..., None],
    lambda array: np.concatenate([array, array]),
    lambda array: array.reshape(-1)[:1].reshape(()) if array.size else np.zeros((), array.dtype),
    lambda array: np.asfortranarray(np.stack([array, array])),
    lambda array: array[::-1],
    lambda array: np.zeros((*array.shape, 0), array.dtype),
)
_VALUES = (0, -1, 1, 127, -(2**15), 2**15 - 1, np.nan, np.inf, -np.inf)


@st.composite
def damaged_array(draw: st.DrawFn, array: NDArray[Any]) -> NDArray[Any]:
    """Draw an array of another type or shape, or with other values; also one that holds pickled objects."""
    match draw(st.integers(0, 4)):
        case 0:
            with np.errstate(all="ignore"):
                kind = np.dtype(draw(st.sampled_from(_DTYPES)))
                return np.zeros(array.shape, kind) if array.dtype.kind in "MSU" else array.astype(kind)
        case 1:
            reshape: Callable[[NDArray[Any]], NDArray[Any]] = draw(st.sampled_from(_RESHAPES))
            return reshape(np.atleast_1d(array))
        case 2:
            return np.array([{"a": 1}, None], dtype=object)
        case 3:
            return np.zeros(draw(st.sampled_from((1, 2**10, 2**17))), array.dtype)
    changed = np.atleast_1d(array).copy()
    if changed.size and changed.dtype.kind in "iuf":
        with np.errstate(all="ignore"):
            changed.flat[draw(_POSITIONS) % changed.size] = np.array(draw(st.sampled_from(_VALUES))).astype(
                changed.dtype
            )
    return changed


_HEADERS = (
    b"{'descr': '<i2', 'fortran_order': False, 'shape': (1152921504606846976,), }",
    b"{'descr': '<i2', 'fortran_order': False, 'shape': (-1,), }",
    b"{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999999999,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': 'zz', 'fortran_order': 3, 'shape': 'a', }",
    b"{'descr': [('a', '<i2'), ('a', '<i2')], 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': ((('<i2',),),), 'fortran_order': False, 'shape': (3,), }",
    b"{'descr': '<i2', 'fortran_order': False, 'shape': (3L,), ",
    b"(" * 3000,
    b"'''",
    b"\\\n",
    b"",
)


@st.composite
def damaged_npy(draw: st.DrawFn, array: NDArray[Any]) -> bytes:
    """Draw a `.npy` file whose array, header or bytes are damaged."""
    which = draw(st.integers(0, 5))
    if which == 0:
        header = draw(st.sampled_from(_HEADERS) | st.binary(max_size=60))
        version = draw(st.sampled_from((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x07\x00")))
        size = len(header).to_bytes(2 if version == b"\x01\x00" else 4, "little")
        return b"\x93NUMPY" + version + size + header + draw(st.binary(max_size=20))
    file = io.BytesIO()
    np.save(file, draw(damaged_array(array)) if which < 4 else array, allow_pickle=True)
    return draw(damaged_bytes(file.getvalue(), most_edits=2)) if which > 2 else file.getvalue()


_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)


@st.composite
def damaged_zip(draw: st.DrawFn, members: Mapping[str, bytes], damages: Mapping[str, SearchStrategy[bytes]]) -> bytes:
    """Draw a zip archive of which some members are damaged, missing, renamed or there twice.

    Args:
        draw: given by Hypothesis.
        members: content of each member, by name.
        damages: by name, damaged contents; a member that is not there has its bytes damaged.
    """
    chosen = draw(st.lists(st.sampled_from(sorted(members)), max_size=2))
    contents = [(name, draw(damages.get(name, damaged_bytes(members[name])))) for name in chosen]
    kept = [(name, content) for name, content in members.items() if name not in chosen]
    files = [*kept, *contents] if draw(st.booleans()) else [*contents, *kept]
    if files and draw(st.integers(0, 3)) == 0:
        at = draw(_POSITIONS) % len(files)
        files[at] = (draw(member_names(files[at][0])), files[at][1])
    if files and draw(st.integers(0, 5)) == 0:
        del files[draw(_POSITIONS) % len(files)]
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", draw(st.sampled_from(_METHODS)) if draw(st.integers(0, 9)) == 0 else zipfile.ZIP_STORED
    ) as archive:
        for name, content in dict(files).items():
            archive.writestr(name.split("\0")[0] or "x", content)
    return draw(damaged_bytes(file.getvalue(), most_edits=2)) if draw(st.integers(0, 2)) == 0 else file.getvalue()


def member_names(name: str) -> SearchStrategy[str]:
    """Draw names of members that look like one, or lead out of the archive."""
    odd = ("..", "../x.npy", "/etc/x.npy", "a/../../b.npy", "a\\b.npy", "x" * 300, "a\nb.npy", "\x1b[31m.npy", "dir/")
    return (
        st.sampled_from(odd)
        | st.text(min_size=1, max_size=12)
        | st.sampled_from((name.upper(), name + ".npy", name[1:], f"a/{name}"))
    )


def npy_members(arrays: Arrays) -> dict[str, bytes]:
    """Return the members of an npz file of some arrays."""
    members = {}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        members[f"{name}.npy"] = file.getvalue()
    return members


def arrays_of(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file."""
    with np.load(path) as arrays:
        return dict(arrays)


def damaged_npz(arrays: Arrays) -> SearchStrategy[bytes]:
    """Draw npz files with damaged members."""
    return damaged_zip(npy_members(arrays), {f"{name}.npy": damaged_npy(array) for name, array in arrays.items()})


_TOKENS = (
    "(",
    ")",
    ":",
    "\n",
    "    ",
    "\t",
    "=",
    "class ",
    "def ",
    "lambda: ",
    "'''",
    "\\",
    "#",
    "\x00",
    "\ufeff",
    "0x",
    "9" * 5000,
)
_NESTS = ("(" * 150, "(" * 5000, "[" * 5000 + "]" * 5000, "-" * 20_000 + "1", "a" + ".b" * 20_000, "1" + "+1" * 20_000)


@st.composite
def damaged_python(draw: st.DrawFn, sources: Sequence[bytes]) -> bytes:
    """Draw Python files that are not quite Python, or nested very deeply."""
    source = draw(st.sampled_from(list(sources)))
    which = draw(st.integers(0, 9))
    if which == 0:
        return draw(st.sampled_from(_NESTS)).encode()
    if which < 4:
        return draw(damaged_bytes(source))
    lines = source.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(_POSITIONS) % len(lines)
        cut = draw(_POSITIONS) % (len(lines[at]) + 1)
        match draw(st.integers(0, 3)):
            case 0:
                lines[at] = lines[at][:cut] + draw(st.sampled_from(_TOKENS)).encode() + lines[at][cut:]
            case 1:
                lines.insert(at, lines[draw(_POSITIONS) % len(lines)])
            case 2:
                lines[at] = draw(
                    st.sampled_from((b"# -*- coding: rot13 -*-", b"# coding: utf-16", b"# coding: nonsense"))
                )
            case 3:
                lines[at] = lines[at][cut:]
    return b"\n".join(lines)
