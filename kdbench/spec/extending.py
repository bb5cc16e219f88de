"""Tracks of a spec file that take over what another track gives."""

from collections.abc import Mapping
from typing import Any

EXTENDS = "extends"


def with_base(name: str, tracks: Mapping[str, Any]) -> Any:
    """Return a track of a spec file, with what it takes over from the track that its key `extends` names.

    Tables are merged key by key. Any other value, a list for example, replaces that of the other track.

    Args:
        name: of the track.
        tracks: the raw tables of the file, by name.

    Raises:
        ValueError: `extends` does not name another track that itself extends none.
    """
    track = tracks[name]
    if not isinstance(track, dict) or EXTENDS not in track:
        return track
    possible = [other for other, table in tracks.items() if isinstance(table, dict) and EXTENDS not in table]
    if track[EXTENDS] not in possible:
        raise ValueError(
            f"tracks.{name}.{EXTENDS} is {track[EXTENDS]!r}; give a track that extends no other: {', '.join(possible)}"
        )
    own = {key: value for key, value in track.items() if key != EXTENDS}
    return _merged(tracks[track[EXTENDS]], own)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both_tables = {key for key, value in own.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return {**base, **own, **{key: _merged(base[key], own[key]) for key in both_tables}}
