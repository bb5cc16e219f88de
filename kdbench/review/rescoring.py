"""Scores the records of a submission as the board will, once its method ships."""

from pathlib import Path

from kdbench.methods.files import MethodFile
from kdbench.plan.current import shipped_codes
from kdbench.records import find_records
from kdbench.records.current import Current
from kdbench.scoring.board import score
from kdbench.scoring.scores import Scores
from kdbench.spec import Spec


def rescored(records: Path, name: str, file: MethodFile, spec: Spec) -> Scores:
    """Return the scores of a submission's records, where its method has the code of its file.

    What the folder says of itself, as in `current.json`, is not read.

    Args:
        records: folder that holds `TRACK/RUN-TESTSETS/`.
        name: of the method.
        file: of the method.
        spec: of the benchmark.
    """
    codes = {method: frozenset({code}) for method, code in shipped_codes().items()}
    folders = frozenset(folder.name for folder in find_records(records))
    return score(records, spec, current=Current(folders, codes | {name: frozenset({file.code})}))
