"""What methods cost: medians from the scores, spreads from the records, and the timing suite's steps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.leaderboard import wording
from kdbench.leaderboard.boards import BoardView, Line, RowView
from kdbench.records import Record
from kdbench.scoring.scores import Cost


@dataclass(frozen=True)
class CostLine:
    """The cost of one arm.

    Attributes:
        runs: how many runs the medians rest on.
        epochs: how many epochs they have together.
        fastest, slowest: seconds of the fastest and the slowest of these epochs; None without timed epochs.
        parameters: of the network that was trained; None without a record.
    """

    view: RowView
    line: Line
    cost: Cost
    runs: int
    epochs: int
    fastest: float | None
    slowest: float | None
    parameters: int | None


def cost_lines(view: BoardView, records: Sequence[Record]) -> tuple[CostLine, ...]:
    """The costs of all arms of a board that have any."""
    by_id = {record.run_id: record for record in records}
    return tuple(
        _cost_line(row, line, line.arm.cost, [by_id[one] for one in line.arm.run_ids if one in by_id])
        for row in view.rows
        for line in row.lines
        if line.arm.cost is not None
    )


def _cost_line(row: RowView, line: Line, cost: Cost, records: Sequence[Record]) -> CostLine:
    good = [record for record in records if record.status == "ok"]
    epochs = [seconds for record in good for seconds in record.timing.epochs]
    return CostLine(
        view=row,
        line=line,
        cost=cost,
        runs=len(good) or len(line.arm.run_ids),
        epochs=len(epochs),
        fastest=min(epochs, default=None),
        slowest=max(epochs, default=None),
        parameters=good[0].parameters if good else None,
    )


@dataclass(frozen=True)
class TimedStep:
    """A training step in the timing suite; times in words.

    Attributes:
        ratio: median over that of independent in the same group; empty where there is none.
    """

    group: str
    name: str
    median: str
    quartiles: str
    rounds: int
    ratio: str


@dataclass(frozen=True)
class Timings:
    """The timing suite's result and the machine it was made on."""

    machine: str
    steps: tuple[TimedStep, ...]


def read_timings(path: Path) -> Timings:
    """Reads what pytest-benchmark wrote with `--benchmark-json`.

    Raises:
        InputError: the file is missing or is not of that layout.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Timings(_machine(raw.get("machine_info") or {}), tuple(_steps(raw["benchmarks"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = error.strerror if isinstance(error, OSError) else f"not the JSON of pytest-benchmark ({error!r})"
        raise InputError(f"timing file {path} cannot be read: {problem}; make it with `nox -s timing`") from error


def _machine(info: Mapping[str, Any]) -> str:
    cpu = info.get("cpu") or {}
    parts = (
        cpu.get("brand_raw"),
        info.get("system"),
        info.get("machine"),
        info.get("python_version") and f"Python {info['python_version']}",
    )
    return ", ".join(str(part) for part in parts if part)


def _steps(benchmarks: Sequence[Mapping[str, Any]]) -> Iterator[TimedStep]:
    places = [_place(one) for one in benchmarks]
    medians = [float(one["stats"]["median"]) for one in benchmarks]
    base = {group: value for (group, method), value in zip(places, medians, strict=True) if method == "independent"}
    for (group, method), value, one in sorted(zip(places, medians, benchmarks, strict=True), key=lambda item: item[0]):
        stats = one["stats"]
        yield TimedStep(
            group=group,
            name=method,
            median=wording.duration(value),
            quartiles=f"{wording.duration(float(stats['q1']))} to {wording.duration(float(stats['q3']))}",
            rounds=int(stats["rounds"]),
            ratio=f"{wording.number(value / base[group])}×" if base.get(group) else "",
        )


def _place(benchmark: Mapping[str, Any]) -> tuple[str, str]:
    """Group and method of a benchmark, from its extra information, else its parameters, else its name."""
    facts = {**(benchmark.get("params") or {}), **(benchmark.get("extra_info") or {})}
    parts = [str(facts[key]) for key in ("track", "direction", "device") if key in facts]
    return ", ".join(parts) or str(benchmark.get("group") or ""), str(facts.get("method", benchmark["name"]))
