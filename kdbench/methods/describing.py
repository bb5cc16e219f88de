"""Answers an inquiry about a method file by running the file's code, in a process of its own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdbench.api import Method
from kdbench.errors import SubmissionError, describe_error
from kdbench.methods.directions import beyond_paper, declared_directions
from kdbench.methods.inquiries import Answer, Description, Inquiry, Trial
from kdbench.methods.loading import load_submission, parse_config
from kdbench.methods.preflight import check_method
from kdbench.spec import Direction

_LONGEST_REFUSAL = 2000  # characters


def answer(inquiry: Inquiry, folder: Path) -> Answer:
    """Answer an inquiry, whatever the file raises.

    Args:
        inquiry: about which file.
        folder: where to write the file, from which it is then imported.
    """
    try:
        return Answer(description=describe(inquiry, folder))
    except SubmissionError as error:
        return Answer(refusal=str(error)[:_LONGEST_REFUSAL])
    except BaseException as error:
        return Answer(refusal=f"{inquiry.path} cannot be used: {_described(error)}"[:_LONGEST_REFUSAL])


def describe(inquiry: Inquiry, folder: Path) -> Description:
    """Import a method file, check it against the contract, read its config and make it for each direction on trial.

    Raises:
        SubmissionError: the file breaks the contract, the config is not the method's, or it cannot be made for the
            networks of one of its directions.
    """
    file = folder / inquiry.path.name
    file.write_bytes(inquiry.source)
    method = load_submission(file, shown=inquiry.path)
    config = parse_config(method, {**inquiry.config, **inquiry.configs.get(method.name, {})})
    if trial := inquiry.trial:
        for direction in trial.directions:
            if direction in declared_directions(method):
                check_method(method, config, trial, direction)
    beyond = beyond_paper(method.directions, method.beyond_paper, method.needs, uses_teacher=method.uses_teacher)
    possible = [direction for direction in beyond if _can_be_made(method, config, inquiry.trial, direction)]
    return _description(method, asdict(config), possible, inquiry.path)


def _can_be_made(method: type[Method], config: Any, trial: Trial | None, direction: Direction) -> bool:
    """Return whether the networks of a direction suit a method, which need not know it; True without networks."""
    try:
        if trial:
            check_method(method, config, trial, direction)
    except Exception:
        return False
    return True


def _description(
    method: type[Method], config: Mapping[str, Any], beyond: Sequence[Direction], path: Path
) -> Description:
    try:
        values = json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise SubmissionError(f"{path}: the config {config!r} cannot be written as JSON: {error}") from error
    return Description(
        name=method.name,
        summary=method.summary,
        paper=method.paper,
        images=method.images,
        directions=tuple(method.directions),
        beyond_paper=tuple(beyond),
        needs=tuple(sorted(method.needs)),
        uses_teacher=method.uses_teacher,
        views=float(method.views),
        per_sample=method.per_sample,
        config=values,
    )


def _described(error: BaseException) -> str:
    """Return what an error says, whatever its own text does."""
    try:
        return describe_error(error)
    except BaseException:
        return f"{type(error).__name__}, whose message cannot be read"
