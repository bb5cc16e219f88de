"""Validates the Croissant metadata: `python -m tests.croissant_files`, which `nox -s metadata` runs.

Of what is installed this imports `mlcroissant` alone. The exit code is 0 if the files have neither errors nor warnings,
and if the rows of each record set can be read.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import mlcroissant

DATA_SETS = Path(__file__).parents[1] / "datasets"


def problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with a Croissant file, in words."""
    try:
        data_set = mlcroissant.Dataset(jsonld=str(path))
    except mlcroissant.ValidationError as error:
        yield f"{path}: {error}"
        return
    issues = data_set.metadata.ctx.issues
    yield from (f"{path}: {issue}" for issue in [*issues.errors, *issues.warnings])
    for records in data_set.metadata.record_sets:
        if not list(data_set.records(records.id)):
            yield f"{path}: the record set {records.id} is empty"


def main() -> None:
    paths = sorted(DATA_SETS.glob("*/croissant.json"))
    messages = [problem for path in paths for problem in problems(path)]
    print(*messages, f"{len(paths)} files, {len(messages)} problems", sep="\n")
    sys.exit(bool(messages) or not paths)


if __name__ == "__main__":
    main()
