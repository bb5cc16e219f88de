"""What a pack holds: a ZIP archive of the files of a results folder, and `pack.json`, which lists them.

A pack may come from anybody. Nothing in it is believed before it is compared with the list, and the list names only
places that a results folder has.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from pydantic import Field, ValidationError

from kdbench.errors import InputError, describe_invalid
from kdbench.plan.context import SCRATCH
from kdbench.plan.matrix import NUMERICS_VERSION
from kdbench.records import LOG, WEIGHTS
from kdbench.resources import VERSION
from kdbench.spec import FrozenModel, Spec
from kdbench.testsets.gallery import GALLERY
from kdbench.training.checkpoints import CHECKPOINT
from kdbench.training.outcome import OUTCOME, TALLY

CONTENTS: Final = "pack.json"
MOST_MEMBER_BYTES: Final = 8 * 2**30
MOST_CONTENTS_BYTES: Final = 64 * 2**20
MOST_RATIO: Final = 100  # of what is unpacked to the pack; records and weights hardly shrink
RUN: Final = r"[0-9a-f]{16}-[0-9a-f]{8}"
FILE: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"
SAVED: Final = (CHECKPOINT, TALLY, OUTCOME, WEIGHTS, LOG)
"""The files of a training that has no record yet, beside the weights along the training of some controls."""
SNAPSHOT: Final = r"snapshot-\d{1,3}\.safetensors"
PLACE: Final = re.compile(
    rf"(?P<track>{FILE})/(?:{re.escape(GALLERY)}|{RUN}/{FILE})"
    rf"|{re.escape(SCRATCH)}/{RUN}(?:/(?:{'|'.join(map(re.escape, SAVED))}|{SNAPSHOT})|\.json)"
)
"""Where a file of a pack may belong: to a track, to a record, or to a training that has no record yet."""


class PackedFile(FrozenModel):
    """A file of a pack, as it was packed."""

    size: Annotated[int, Field(ge=0, le=MOST_MEMBER_BYTES)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TrackDigests(FrozenModel):
    """The digests of a track in the spec that a pack was made with."""

    training: str
    testsets: str


class PackContents(FrozenModel):
    """The fields of `pack.json`.

    Attributes:
        kdbench: version that made the pack, for the reader.
        numerics: its `NUMERICS_VERSION`.
        tracks: that the pack has files of.
        codes: digest of the code of each shipped method that the pack has runs of.
        files: by their place in the results folder.
    """

    format: Literal[1] = 1
    kdbench: str = VERSION
    numerics: int = NUMERICS_VERSION
    tracks: dict[str, TrackDigests]
    codes: dict[str, str]
    files: dict[str, PackedFile]


def digests_of(spec: Spec, tracks: set[str]) -> dict[str, TrackDigests]:
    """Return the digests of some tracks of a spec, by name."""
    return {
        name: TrackDigests(training=track.training_digest, testsets=track.testsets_digest)
        for name, track in sorted(spec.tracks.items())
        if name in tracks
    }


def read_contents(archive: ZipFile, path: Path) -> PackContents:
    """Return the list of a pack, after comparing what the archive declares with it; no other file is read.

    Raises:
        InputError: it is not a pack, or it declares what a pack does not hold.
        *DAMAGES: the archive is damaged.
    """
    members = archive.infolist()
    if [member.filename for member in members].count(CONTENTS) != 1:
        raise InputError(f"{path} is not a pack: it has no {CONTENTS}; `kdbench results pack` makes one")
    if (listed := archive.getinfo(CONTENTS)).file_size > MOST_CONTENTS_BYTES:
        raise _refused(path, f"its {CONTENTS} has {listed.file_size} bytes; allowed: at most {MOST_CONTENTS_BYTES}")
    _check_compression(listed, path)
    try:
        with archive.open(listed) as file:  # without a size, a read would unpack more than the file is declared to have
            contents = PackContents.model_validate_json(file.read(MOST_CONTENTS_BYTES))
    except ValidationError as error:
        raise _refused(path, f"its {CONTENTS} is not valid: {describe_invalid(error, PackContents)}") from error
    _check_members([member for member in members if member is not listed], contents, path)
    return contents


def _check_members(members: list[ZipInfo], contents: PackContents, path: Path) -> None:
    """Raise InputError if the archive holds other files than those of the list, or anything but files."""
    for member in members:
        name, mode = member.filename, member.external_attr >> 16
        place = PLACE.fullmatch(name)
        if place is None or place["track"] not in (None, *contents.tracks):
            raise _refused(path, f"it holds {name!r}, which has no place in a results folder")
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or member.flag_bits & 1:
            raise _refused(path, f"it holds {name!r}, which is a link, a device or encrypted")
        _check_compression(member, path)
        if name not in contents.files or member.file_size != contents.files[name].size:
            raise _refused(path, f"it holds {name!r} with {member.file_size} bytes, which {CONTENTS} does not list")
    names = [member.filename for member in members]
    if len(set(names)) != len(names) or set(names) != contents.files.keys():
        raise _refused(path, f"the files that it holds are not those that {CONTENTS} lists")
    most = MOST_RATIO * path.stat().st_size
    if (size := sum(file.size for file in contents.files.values())) > most:
        raise _refused(path, f"its files would take {size} bytes; allowed for a file of its size: {most}")


def _check_compression(member: ZipInfo, path: Path) -> None:
    """Raise InputError for a member that `zipfile` would unpack without a limit on memory."""
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise _refused(path, f"it holds {member.filename!r}, which is compressed in another way than a pack is")


def _refused(path: Path, reason: str) -> InputError:
    return InputError(f"{path} is not a pack that can be merged: {reason}; get the pack again, or another one")


def check_same_board(contents: PackContents, spec: Spec, codes: Mapping[str, str], path: Path) -> None:
    """Raise InputError if this installation would not go on with the runs of a pack, and name what differs.

    Part of a pack is never merged: the rest of its board would be trained again without a word.

    Args:
        contents: of the pack.
        spec: of this installation.
        codes: digests of the code of the methods that ship with it, by name.
        path: of the pack.
    """
    differences = [*_other_tracks(contents, spec), *_other_codes(contents, codes)]
    if contents.numerics != NUMERICS_VERSION:
        differences.insert(0, f"its NUMERICS_VERSION is {contents.numerics}, and here it is {NUMERICS_VERSION}")
    if differences:
        more = f" (and {len(differences) - 1} more differences)" if len(differences) > 1 else ""
        raise InputError(
            f"{path} was made by another kdbench or spec: {differences[0]}{more}; it can be merged where kdbench "
            f"{contents.kdbench} with the same spec and methods is installed"
        )


def _other_tracks(contents: PackContents, spec: Spec) -> list[str]:
    own = digests_of(spec, set(contents.tracks))
    unknown = [
        f"it has runs of the track {name!r}, and this spec has: {', '.join(spec.tracks)}"
        for name in sorted(contents.tracks.keys() - own.keys())
    ]
    return unknown + [
        f"the {part} digest of {name} is {theirs[:12]}..., and here it is {ours[:12]}..."
        for name, digests in own.items()
        for part, theirs, ours in (
            ("training", contents.tracks[name].training, digests.training),
            ("testsets", contents.tracks[name].testsets, digests.testsets),
        )
        if theirs != ours
    ]


def _other_codes(contents: PackContents, codes: Mapping[str, str]) -> list[str]:
    return [
        f"the digest of the code of {name} is {code[:12]}..., and here it is {codes[name][:12]}..."
        for name, code in sorted(contents.codes.items())
        if name in codes and codes[name] != code
    ]
