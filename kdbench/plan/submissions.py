"""Turns names and files of methods into submissions that the matrix can expand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.methods.files import code_digest, list_submissions, read_method_file, submission_path
from kdbench.plan.matrix import HARNESS_CODE, Submission
from kdbench.spec import DIRECTIONS, INDEPENDENT, TEACHER


def read_submission(path: Path, config: Mapping[str, Any]) -> Submission:
    """Load a method file and return it with a config; what is not in `config` has the method's default.

    Raises:
        SubmissionError: the file breaks the contract, or the config is not the method's.
    """
    from kdbench.methods.loading import load_submission, parse_config

    method = load_submission(path)
    return Submission(
        name=method.name,
        path=path,
        source=read_method_file(path),
        code=code_digest(path),
        config=asdict(parse_config(method, config)),
        uses_teacher=method.uses_teacher,
        directions=tuple(method.directions),
    )


def read_submissions(names: Sequence[str], configs: Mapping[str, Mapping[str, str]]) -> list[Submission]:
    """Return the named methods, all shipped ones without names, after `independent`, which every board needs.

    Args:
        names: of shipped methods, or paths of method files.
        configs: values by method name and key, as text.

    Raises:
        InputError: a config names a method that is not among them.
        SubmissionError: see `read_submission`.
    """
    from kdbench.methods.loading import load_submission

    wanted = dict.fromkeys([INDEPENDENT, *(names or list_submissions())])
    submissions = [
        read_submission(submission_path(name), configs.get(load_submission(name).name, {})) for name in wanted
    ]
    unused = sorted(set(configs) - {submission.name for submission in submissions})
    if unused:
        raise InputError(
            f"--config names the method {unused[0]!r}, which is not run; "
            f"running: {', '.join(submission.name for submission in submissions)}"
        )
    return submissions


def teacher_submission() -> Submission:
    """Return what stands for the harness where a teacher is trained."""
    return Submission(TEACHER, None, HARNESS_CODE, {}, uses_teacher=False, directions=DIRECTIONS)
