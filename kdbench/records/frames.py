"""The records of a results folder as a data frame."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.records.schema import Record, SetResult
from kdbench.records.storage import read_record, require_records
from kdbench.records.verification import read_verification

if TYPE_CHECKING:
    import pandas as pd

RESULT_COLUMNS = (
    "run_id",
    "track",
    "direction",
    "role",
    "family",
    "method",
    "config",
    "question",
    "teacher_bias",
    "dose",
    "teacher_run_id",
    "seed",
    "beyond_paper",
    "control",
    "compiled",
    "official",
    "unofficial",
    "status",
    "reason",
    "test_set",
    "images",
    "macro_accuracy",
    "training_seconds",
    "evaluation_seconds",
    "peak_memory_bytes",
    "parameters",
    "steps",
    "examples",
    "device_class",
    "training_digest",
    "testsets_digest",
    "code_digest",
    "finished",
    "verified",
    "folder",
)


def load_results(folder: str | Path, *more: str | Path) -> "pd.DataFrame":
    """Return the records of results folders as a tidy data frame, one row per record and test set.

    A run that failed was evaluated on no test set; it has one row, in which `test_set`, `images` and `macro_accuracy`
    are missing.

    Examples:
        >>> results = load_results("runs")
        >>> clean = results[(results.test_set == "clean") & (results.method == "lm")]
        >>> clean.groupby("question").seed.nunique().to_dict()
        {'architecture': 3, 'planted': 3}

    Args:
        folder: that `kdbench run` wrote into (`--out`), with `TRACK/RUN-TESTSETS/` in it.
        more: further results folders; if two of them have a record of one run, the first one counts.

    Returns:
        A data frame with the columns

        - `run_id`: digest of everything that decides the weights.
        - `track`, `direction`: of the run; `direction` is missing for teachers.
        - `role`, `family`: "teacher" or "student", and "cnn" or "vit", of the network that was trained.
        - `method`, `config`: name of the submission ("teacher" for teachers), and its settings as JSON.
        - `question`: "architecture" or "planted", that the run belongs to; missing for a student without a teacher.
        - `teacher_bias`, `teacher_run_id`: of the student's teacher (a teacher's own bias); missing without one.
        - `dose`: of a planted teacher, or of the student's planted teacher; missing without one.
        - `seed`: the random seed.
        - `beyond_paper`, `control`, `compiled`, `official`: whether the method is not published for the direction, and
          whether the run is a control arm, was trained through torch.compile, and may be ranked.
        - `unofficial`: why it may not be ranked, in words; empty for an official run.
        - `status`, `reason`: "ok", or how the run failed and why, in words.
        - `test_set`, `images`: name of the test set, and its number of images.
        - `macro_accuracy`: mean over classes of the share of right answers, from 0 to 1.
        - `training_seconds`, `evaluation_seconds`: wall time, in seconds.
        - `peak_memory_bytes`: largest memory of the run, in bytes.
        - `parameters`: number of parameters of the network.
        - `steps`, `examples`: updates of the student, and training images drawn.
        - `device_class`: device and precision, such as "cpu-float32".
        - `training_digest`, `testsets_digest`, `code_digest`: of the parts of the spec, and of the method's code.
        - `finished`: when the record was written, UTC.
        - `verified`: what `kdbench verify` found, "equal", "within tolerance" or "different"; missing without it.
        - `folder`: of the record.

    Raises:
        InputError: there are no records in one of the folders.
        RecordError: a record cannot be read.
    """
    import pandas as pd

    folders = require_records(Path(folder), *map(Path, more))
    rows = [row for record_folder in folders for row in _rows(record_folder, read_record(record_folder))]
    frame = pd.DataFrame(rows, columns=list(RESULT_COLUMNS))
    return frame.astype({"images": "Int64"}).assign(finished=pd.to_datetime(frame["finished"]))


def _rows(folder: Path, record: Record) -> Iterator[dict[str, Any]]:
    of_record = _of_record(folder, record)
    results: dict[str, SetResult] = record.test
    for name, result in results.items():
        yield {**of_record, "test_set": name, "images": result.images, "macro_accuracy": result.macro_accuracy}
    if not results:
        yield of_record


def _of_record(folder: Path, record: Record) -> dict[str, Any]:
    """Return the columns that are the same for all test sets of a record."""
    plain = {name: getattr(record, name) for name in RESULT_COLUMNS if name in Record.model_fields}
    return {
        **plain,
        "question": record.question,
        "config": json.dumps(record.config, sort_keys=True),
        "official": record.official,
        "unofficial": ", ".join(record.unofficial),
        "training_seconds": record.timing.training,
        "evaluation_seconds": record.timing.evaluation,
        "steps": record.budget.steps,
        "examples": record.budget.examples,
        "device_class": record.environment.device_class,
        "training_digest": record.digests.training,
        "testsets_digest": record.digests.testsets,
        "code_digest": record.digests.code,
        "verified": verification.verdict if (verification := read_verification(folder, record)) else None,
        "folder": str(folder),
    }
