"""Turns names and files of methods into submissions for the matrix. The code of a method is not run here."""

from collections.abc import Mapping, Sequence

from kdbench.errors import InputError
from kdbench.methods.files import MethodFile, read_method_file, submission_path
from kdbench.methods.inquiries import Describe, Description, Inquiry, Trial
from kdbench.plan.matrix import HARNESS_CODE, Submission
from kdbench.plan.sweeps import Settings
from kdbench.spec import DIRECTIONS, INDEPENDENT, TEACHER


def read_submissions(
    names: Sequence[str], sweeps: Mapping[str, Sequence[Settings]], trial: Trial, describe: Describe
) -> list[Submission]:
    """Return `independent`, which every board needs, and then the named methods, each with all its settings.

    Args:
        names: of shipped methods, or paths of method files.
        sweeps: the settings to run by method name, at least one per name; all others have the method's defaults.
        trial: the networks that the methods will be run with.
        describe: answers inquiries about method files.

    Raises:
        InputError: `sweeps` names a method that is not run, or two settings of a method are the same.
        SubmissionError: a file breaks the contract, a config does not fit its method, or a method cannot work with the
            networks.
    """
    wanted = dict.fromkeys([INDEPENDENT, *names])
    files = [read_method_file(submission_path(name)) for name in wanted]
    first = {name: settings[0] for name, settings in sweeps.items()}
    submissions = _described(files, [first] * len(files), trial, describe)
    unused = sorted(set(sweeps) - {submission.name for submission in submissions})
    if unused:
        raise InputError(
            f"--config or --sweep names the method {unused[0]!r}, which is not run; "
            f"running: {', '.join(submission.name for submission in submissions)}"
        )
    further = [
        (file, {submission.name: settings})
        for file, submission in zip(files, submissions, strict=True)
        for settings in sweeps.get(submission.name, ())[1:]
    ]
    if further:
        submissions += _described([file for file, _ in further], [settings for _, settings in further], trial, describe)
    _check_settings(submissions)
    return submissions


def _described(
    files: Sequence[MethodFile], configs: Sequence[Mapping[str, Settings]], trial: Trial, describe: Describe
) -> list[Submission]:
    """Return method files as submissions, each with settings by method name."""
    inquiries = [
        Inquiry(file.path, file.source, configs=settings, trial=trial)
        for file, settings in zip(files, configs, strict=True)
    ]
    return [described_submission(*pair) for pair in zip(files, describe(inquiries), strict=True)]


def _check_settings(submissions: Sequence[Submission]) -> None:
    """Raise InputError if two submissions have one file and the same settings, which would be one row."""
    known = []
    for submission in submissions:
        if (submission.path, submission.config) in known:
            settings = ", ".join(f"{key}={value}" for key, value in submission.config.items())
            raise InputError(f"the settings of {submission.name} list {settings} twice; give each value once")
        known.append((submission.path, submission.config))


def described_submission(file: MethodFile, description: Description) -> Submission:
    """Return a method file as a submission, with the config of its description."""
    return Submission(
        name=description.name,
        path=file.path,
        source=file.source,
        code=file.code,
        config=description.config,
        uses_teacher=description.uses_teacher,
        directions=description.directions,
        needs=description.needs,
        beyond_paper=description.beyond_paper,
        images=description.images,
        views=description.views,
    )


def teacher_submission() -> Submission:
    """Return the submission that represents the training of teachers by the harness."""
    return Submission(TEACHER, None, HARNESS_CODE, {}, uses_teacher=False, directions=DIRECTIONS)
