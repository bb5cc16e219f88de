"""Turns names and files of methods into submissions for the matrix. The code of a method is not run here."""

from collections.abc import Mapping, Sequence

from kdbench.errors import InputError
from kdbench.methods.files import MethodFile, read_method_file, submission_path
from kdbench.methods.inquiries import Describe, Description, Inquiry, Trial
from kdbench.plan.matrix import HARNESS_CODE, Submission
from kdbench.spec import DIRECTIONS, INDEPENDENT, TEACHER


def read_submissions(
    names: Sequence[str], configs: Mapping[str, Mapping[str, str]], trial: Trial, describe: Describe
) -> list[Submission]:
    """Return `independent`, which every board needs, and then the named methods.

    Args:
        names: of shipped methods, or paths of method files.
        configs: values by method name and key, as text; all other settings have the method's defaults.
        trial: the networks that the methods will be run with.
        describe: answers inquiries about method files.

    Raises:
        InputError: `configs` names a method that is not run.
        SubmissionError: a file breaks the contract, a config does not fit its method, or a method cannot work with the
            networks.
    """
    wanted = dict.fromkeys([INDEPENDENT, *names])
    files = [read_method_file(submission_path(name)) for name in wanted]
    inquiries = [Inquiry(file.path, file.source, configs=configs, trial=trial) for file in files]
    submissions = [described_submission(*pair) for pair in zip(files, describe(inquiries), strict=True)]
    unused = sorted(set(configs) - {submission.name for submission in submissions})
    if unused:
        raise InputError(
            f"--config names the method {unused[0]!r}, which is not run; "
            f"running: {', '.join(submission.name for submission in submissions)}"
        )
    return submissions


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
