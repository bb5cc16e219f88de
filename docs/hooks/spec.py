"""Write the tables of the spec from the spec itself."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kdbench.resources import shipped
from kdbench.spec.loading import SPEC_PATH
from kdbench.spec.tracks import Spec, Track
from kdbench.testsets.spec import load_spec

PLACE = "<!-- the tables of the spec -->"
LETTERS_OF_A_DIGEST = 8


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables where a page wants them."""
    return markdown.replace(PLACE, tables(load_spec())) if PLACE in markdown else markdown


def tables(spec: Spec) -> str:
    """Return the tracks side by side, the test sets of each, and the thresholds of scoring, as Markdown."""
    parts = ["## Tracks", *_tracks(spec), "## Test sets"]
    for names, track in _by_test_sets(spec):
        parts += [f"### {' and '.join(names)}", *_test_sets(track)]
    return "\n\n".join([*parts, "## Scoring", *_scoring(spec)])


def _tracks(spec: Spec) -> Iterator[str]:
    """Yield what each track is, and a table for each part of a track, with a column per track."""
    yield "\n".join(f"- `{name}`: {track.summary}" for name, track in spec.tracks.items())
    without = {"name", "summary", "test_sets", "pair"}
    columns = [dict(_flat(track.model_dump(exclude=without))) for track in spec.tracks.values()]
    keys = dict.fromkeys(key for column in columns for key in column)
    for part in dict.fromkeys(_part(key) for key in keys):
        rows = [
            [f"`{key.removeprefix(f'{part}.')}`", *(column.get(key, "") for column in columns)]
            for key in keys
            if _part(key) == part
        ]
        yield _table([f"`{part}`" if part else "", *(f"`{name}`" for name in spec.tracks)], rows)


def _part(key: str) -> str:
    """Return the table of a track that a dotted key belongs to, such as `data` or `backbones.cnn`; "" for no table."""
    return ".".join(key.split(".")[: 2 if key.startswith("backbones.") else 1]) if "." in key else ""


def _by_test_sets(spec: Spec) -> Iterator[tuple[list[str], Track]]:
    """Yield the names of the tracks that share their test sets, with one of these tracks."""
    for track in spec.tracks.values():
        names = [name for name, other in spec.tracks.items() if other.test_sets == track.test_sets]
        if names[0] == track.name:
            yield names, track


def _test_sets(track: Track) -> Iterator[str]:
    rows = [
        [
            f"`{test_set.name}`",
            test_set.axis,
            f"{test_set.images:,}",
            ", ".join(f"`{key}` {_value(value)}" for key, value in test_set.parameters.items()),
            "yes" if test_set.diagnostic else "",
        ]
        for test_set in track.test_sets
    ]
    yield _table(["test set", "axis", "images", "parameters", "diagnostic"], rows)


def _scoring(spec: Spec) -> Iterator[str]:
    section = shipped(*SPEC_PATH).read_text(encoding="utf-8").partition("[scoring]\n")[2].partition("\n[")[0]
    meanings = dict(re.findall(r"^([\w.]+) = .*?# (.+)$", section, flags=re.M))
    rows = [[f"`{key}`", value, meanings[key]] for key, value in _flat(spec.scoring.model_dump())]
    yield _table(["key", "value", "meaning"], rows)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested tables with their dotted keys."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value not in (None, ()):
            yield prefix + key, _value(value)


def _value(value: Any) -> str:
    """Return a value as a reader wants to see it: a file by its name, a digest by its beginning."""
    if isinstance(value, Mapping):
        return str(value["file"])
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return f"{value[:LETTERS_OF_A_DIGEST]}..." if re.fullmatch("[0-9a-f]{64}", value) else value
    if isinstance(value, Sequence):
        return ", ".join(f"[{_value(each)}]" if isinstance(each, tuple) else _value(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    heads = list(head)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
