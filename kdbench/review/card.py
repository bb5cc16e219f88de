"""What a submission says of itself, in `submission.toml` beside its records."""

import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

import tomli_w
from pydantic import Field, ValidationError

from kdbench.errors import InputError, describe_invalid
from kdbench.files import atomic_file
from kdbench.methods.inquiries import LONGEST_NAME, NAME_PATTERN
from kdbench.records import Line
from kdbench.resources import VERSION
from kdbench.spec import FrozenModel, Int64

CARD: Final = "submission.toml"
MOST_BYTES: Final = 2**16
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Stated = Annotated[Line, Field(min_length=1)]


class SubmissionCard(FrozenModel):
    """The fields of `submission.toml`.

    Attributes:
        method, summary, paper, images: as the method file states them.
        authors: of the submission.
        citation: how to cite the method, on one line.
        licence: of the method file.
        code: digest of the code of the method file.
        kdbench: version that the submission was made with.
        device: "cpu" or "cuda", on which the runs were trained.
        seeds: of the runs.
    """

    format: Literal[1] = 1
    method: Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=LONGEST_NAME)]
    summary: Line
    paper: Line
    images: Line
    authors: Annotated[tuple[_Stated, ...], Field(min_length=1, max_length=100)]
    citation: _Stated
    licence: _Stated
    code: _Digest
    kdbench: Line = VERSION
    track: Line
    device: Literal["cpu", "cuda"]
    seeds: Annotated[tuple[Int64, ...], Field(min_length=1)]


def write_card(folder: Path, card: SubmissionCard) -> None:
    """Write `submission.toml` into a folder."""
    with atomic_file(folder / CARD) as file:
        file.write(tomli_w.dumps(card.model_dump(mode="json")).encode())


def read_card(folder: Path) -> SubmissionCard:
    """Return what the `submission.toml` in a folder says.

    Raises:
        InputError: it cannot be read, or is not valid.
    """
    path = folder / CARD
    try:
        with path.open("rb") as file:
            fields = tomllib.loads(file.read(MOST_BYTES).decode())
        return SubmissionCard.model_validate(fields)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} cannot be read: {reason}; `kdbench submit` writes this file") from error
    except ValidationError as error:
        reason = describe_invalid(error, SubmissionCard)
        raise InputError(f"{path} is not valid: {reason}; `kdbench submit` writes this file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}; `kdbench submit` writes this file") from error
