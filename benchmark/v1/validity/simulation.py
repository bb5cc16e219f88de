"""Checks how often intervals, ranks and words are right: `python benchmark/v1/validity/simulation.py`.

The script scores simulated boards, which `simulated_boards.py` draws with known answers, with the functions that score
real ones. It writes `simulation.csv` and the tables in `SIMULATION.md`.

Every case has random numbers of its own, so a case gives the same numbers in any order and on every run. Finished
cases are kept in a folder, one file each: with `--minutes` the script stops after that time, and the next call goes on
where it stopped. The tables are written when all cases are there.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from simulated_cases import QUESTIONS, Case, Cell, coverage, null_bias, proportional, ranks, shared_pairs, words
from study_tables import markdown_table

from kdbench.files import atomic_file
from kdbench.spec import Scoring
from kdbench.testsets.spec import load_spec

HERE = Path(__file__).parent
MARK = "<!-- What follows is written by simulation.py. -->"
SEEDS = (3, 5, 10)
BACKBONE_SPREADS = (0.0, 0.01, 0.03)
NUMBERS: Mapping[str, tuple[float, ...]] = {  # by number, the true shares of the way
    "alpha": (0.0, 0.05, 0.2, 0.5),
    "tau": (0.0, 0.05, 0.3, 0.8),
    "TI": (0.0, 0.3, 0.8),
    "G": (0.0, 0.3, 0.8),
}
EQUAL, SPREAD = (0.4,) * 7, (0.0, 0.0, 0.2, 0.3, 0.4, 0.5, 0.6)

Table = list[Case]


def cases(repetitions: int, scoring: Scoring) -> dict[str, list[Callable[[], Case]]]:
    """Return the cases of every table, to be computed in any order."""
    settings: dict[str, Any] = {"repetitions": repetitions, "scoring": scoring}
    return {
        "coverage": [
            partial(coverage, name, share, seeds, backbone, **settings)
            for name, shares in NUMBERS.items()
            for share in shares
            for seeds in SEEDS
            for backbone in BACKBONE_SPREADS
        ],
        "pairs": [
            partial(shared_pairs, question, share, backbone, **settings)
            for question, share in (("architecture", 0.2), ("planted", 0.3))
            for backbone in BACKBONE_SPREADS
        ],
        "null": [
            partial(null_bias, name, seeds, repetitions=20 * repetitions)
            for name in ("TI", "G")
            for seeds in (1, *SEEDS)
        ],
        "ranks": [
            partial(ranks, question, shares, seeds, 0.01, **settings)
            for question in QUESTIONS.values()
            for shares in (EQUAL, SPREAD)
            for seeds in (5, 10)
        ],
        "words": [
            partial(words, question, seeds, backbone, **settings)
            for question in QUESTIONS.values()
            for seeds in (5, 10)
            for backbone in BACKBONE_SPREADS
        ],
        "proportional": [
            partial(proportional, method, seeds, backbone, **settings)
            for method in ("0.1", "0.4", "0.8", "one bit")
            for seeds in (5, 10)
            for backbone in BACKBONE_SPREADS
        ],
    }


def simulate(repetitions: int, scoring: Scoring, work: Path, *, seconds: float) -> dict[str, Table] | None:
    """Compute the cases that are not in the folder `work` yet, and return all tables.

    Args:
        repetitions: boards per case.
        scoring: of the spec.
        work: where finished cases are kept, by number of repetitions.
        seconds: no case is begun after that time.

    Returns:
        None if the time was not enough for all cases.
    """
    started = time.monotonic()
    tables: dict[str, Table] = {}
    for table, of_table in cases(repetitions, scoring).items():
        for number, case in enumerate(of_table):
            path = work / f"{repetitions}" / f"{table}-{number:03}.json"
            if not path.exists():
                if time.monotonic() - started > seconds:
                    return None
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(path) as file:
                    file.write(json.dumps(case()).encode())
            tables.setdefault(table, []).append(json.loads(path.read_bytes()))
    return tables


HEADINGS = {
    "coverage": "How often a 95 % interval contains the truth",
    "pairs": "How often the interval of ten seeds contains the truth, if two seeds start from each pair of backbones",
    "null": "Numbers that should be 0, with noisy seeds (.03) and a teacher at a distance of .17",
    "ranks": "Seven methods: which are told apart",
    "words": "Seven methods with transfers of -.2, 0, 0, .05, .05, .2 and 1: how often a board has a wrong word",
    "proportional": "How often a row is labelled not proportional",
}


def as_text(tables: Mapping[str, Table]) -> str:
    """Return the tables as Markdown."""
    parts = []
    for name, rows in tables.items():
        parts.append(f"## {HEADINGS[name]}\n\n{markdown_table(pd.DataFrame(rows))}")
    return "\n\n".join(parts) + "\n"


def _cell(value: Cell) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.3f}"
    return str(value)


def write(tables: Mapping[str, Table], folder: Path) -> None:
    """Write `simulation.csv`, with one line per number, and the part of `SIMULATION.md` that follows the mark."""
    with (folder / "simulation.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("table", "case", "quantity", "value"))
        for name, rows in tables.items():
            for row in rows:
                keys = [key for key in row if not isinstance(row[key], float) or key == "truth"]
                case = ", ".join(f"{key} {row[key]}" for key in keys)
                writer.writerows((name, case, key, _cell(row[key])) for key in row if key not in keys)
    page = folder / "SIMULATION.md"
    text = page.read_text().split(MARK)[0] if page.exists() else "# Simulation of the scoring protocol\n\n"
    page.write_text(f"{text}{MARK}\n\n{as_text(tables)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="boards per case")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no case after this time")
    parser.add_argument("--work", type=Path, required=True, help="folder of finished cases; a new one for new code")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables")
    arguments = parser.parse_args()
    tables = simulate(arguments.repetitions, load_spec().scoring, arguments.work, seconds=60 * arguments.minutes)
    if tables is None:
        print("some cases are left; call the script again with the same --work")
    else:
        write(tables, arguments.out)


if __name__ == "__main__":
    main()
