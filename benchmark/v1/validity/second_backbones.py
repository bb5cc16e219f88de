"""Repeats the board of logit matching from each pair of backbones: `python benchmark/v1/validity/second_backbones.py`.

Seed k of the synthetic track starts from pretrained pair k modulo their number. This study trains `lm` with planted
teachers from every pair alone, with the same seeds for teachers, independents and students, and changes nothing else.
It writes `BACKBONES.md` with one row per direction and pair: how much tau differs between pairs. Runs that are in the
folder `--work` are not repeated.
"""

import argparse
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import tomli_w
from study_tables import markdown_table

from kdbench.cli.options import make_console
from kdbench.jobs.invocation import run
from kdbench.plan.options import RunOptions
from kdbench.records.current import read_current
from kdbench.resources import shipped
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Score, Undefined
from kdbench.scoring.scores import Board, Row, Scores
from kdbench.spec import BIAS_AXES, SPEC_PATH
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
TRACK, REFERENCE, METHOD = "synthetic", "independent", "lm"
COLUMNS = (
    *("direction", "backbones", "seeds", "independent", "teachers apart", "lm from shape, texture", "tau"),
    *(f"tau {axis}" for axis in BIAS_AXES),
)


def spec_of_pair(path: Path, number: int) -> Path:
    """Write the shipped spec with one pair of pretrained files, from which all seeds start, and return its path."""
    spec = tomllib.loads(shipped(*SPEC_PATH).read_text())
    for backbone in spec["tracks"][TRACK]["backbones"].values():
        backbone["pretrained"] = [backbone["pretrained"][number]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(tomli_w.dumps(spec))
    return path


def boards(scores: Scores, seeds: int) -> Iterator[Board]:
    """Yield the boards of the track with this number of seeds."""
    yield from (board for board in scores.boards if board.track == TRACK and len(board.seeds) == seeds)


def table_row(board: Board, backbones: str) -> dict[str, str]:
    """Return the board of logit matching as a row of the table, by column."""
    teachers, independents, students = (
        next(row for row in board.rows if row.kind == kind and row.method in (name, kind))
        for kind, name in (("teacher", "teacher"), ("independent", REFERENCE), ("method", METHOD))
    )
    assert students.transfer is not None
    by_axis = [_shown(students.transfer_by_axis.get(axis)) for axis in BIAS_AXES]
    cells = [board.direction, backbones, str(len(board.seeds)), *_clean(independents), f"{_apart(teachers):.2f}"]
    cells += [", ".join(_clean(students)), _shown(students.transfer, interval=True), *by_axis]
    return dict(zip(COLUMNS, cells, strict=True))


def _apart(teachers: Row) -> float:
    """Return the distance between the profiles of the two teachers."""
    first, second = (arm.profile for arm in teachers.arms)
    assert first is not None
    assert second is not None
    both = ((first.axes[axis].bias, second.axes[axis].bias) for axis in BIAS_AXES)
    return math.hypot(*(a.value - b.value for a, b in both if a.kind == b.kind == "estimate"))


def _clean(row: Row) -> Iterator[str]:
    """Yield the clean accuracy of each arm."""
    yield from (_shown(arm.profile.clean if arm.profile else None, digits=3) for arm in row.arms)


def _shown(score: Score | None, *, interval: bool = False, digits: int = 2) -> str:
    if score is None or isinstance(score, Undefined):
        return "–"
    text = f"{score.value:.{digits}f}"
    return f"{text} [{score.low:.{digits}f}, {score.high:.{digits}f}]" if interval else text


def as_text(rows: pd.DataFrame) -> str:
    """Return the comparison as Markdown."""
    return "\n".join(
        [
            "# Logit matching from other pretrained backbones",
            "",
            "`second_backbones.py` made this page and describes how. The columns show clean accuracies, tau with its",
            "95% interval, and tau per axis (`–` where the teachers do not differ on the axis).",
            "",
            markdown_table(rows),
            "",
        ]
    )


def rows_of_pair(work: Path, number: int, seeds: str) -> Iterator[dict[str, str]]:
    """Train from a pair what is missing, and yield a row of the table per direction."""
    path = spec_of_pair(work / "spec.toml", number)
    options = RunOptions(
        TRACK, spec=path, methods=(REFERENCE, METHOD), questions=("planted",), seeds=seeds, out=work, device="cpu"
    )
    records = run(options, make_console()).records
    scores = score(work, load_spec(path), current=read_current(work))
    for board in boards(scores, len({record.seed for record in records})):
        yield table_row(board, f"pair {number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--work", type=Path, default=Path("runs") / "backbones")
    arguments = parser.parse_args()
    count = len(load_spec().track(TRACK).backbones.cnn.pretrained)
    rows = [
        row
        for number in range(count)
        for row in rows_of_pair(arguments.work / f"pair-{number}", number, arguments.seeds)
    ]
    table = pd.DataFrame(rows).sort_values("direction", kind="stable")
    (HERE / "BACKBONES.md").write_text(as_text(table))
    print(f"see {HERE / 'BACKBONES.md'}")


if __name__ == "__main__":
    main()
