"""Computes scores from the records of results folders, and writes them into the file `scores.json`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kdbench.errors import RecordError, WriteError
from kdbench.files import atomic_file
from kdbench.records.current import Current
from kdbench.records.groups import RecordGroup, StoredRecord, group_records
from kdbench.scoring.admission import admit, contradicting_records, readable_records, refusal
from kdbench.scoring.context import BoardContext, ScoredRun
from kdbench.scoring.differing import with_differing_settings
from kdbench.scoring.estimates import Range
from kdbench.scoring.intervals import DIGITS
from kdbench.scoring.questions import belongs, boards_of
from kdbench.scoring.resampling import Resampler
from kdbench.scoring.rows import board_rows
from kdbench.scoring.scale import scale_of
from kdbench.scoring.scores import Board, Row, Scores, Superseded
from kdbench.scoring.standing import index_band, null_band, tests_of
from kdbench.spec import Spec


def score(
    results: Sequence[Path] | Path,
    spec: Spec,
    *,
    current: Current | None = None,
) -> Scores:
    """Score every record below one or several results folders that is complete and fits the others.

    The same records, spec and `current` give the same scores; nothing else is read.

    Args:
        results: folders that hold `TRACK/RUN-TESTSETS/`; if two folders have a record of one run, the first one counts.
        spec: the tracks, and how to score.
        current: which records are current, and what code has shipped, as `kdbench.records.current.read_current` returns
            it: official records of other code under a shipped name are refused. None where all records are current and
            nothing is known of the code.
    """
    folders = [results] if isinstance(results, Path) else results
    records, refused = readable_records(folders, spec)
    groups = group_records(records)
    boards: list[Board] = []
    superseded: list[Superseded] = []
    for group in _in_order(groups, spec):
        track = spec.tracks[group.track].with_pair(group.pair)
        resampler = Resampler(spec.scoring.bootstrap_samples)
        admission = admit(groups[group], track, resampler, current=current)
        boards += _boards(group, admission.runs, spec)
        superseded += _not_scored(group, admission.superseded)
        of_folder = dict(groups[group])
        refused += [refusal(folder, of_folder[folder], reason) for folder, reason in admission.refused.items()]
    return Scores(
        spec_version=spec.version,
        scoring_digests={board.track: spec.scoring_digest(board.track) for board in boards},
        boards=tuple(boards),
        superseded=tuple(superseded),
        refused=tuple(sorted(refused, key=lambda record: (record.track, record.record, record.reason))),
        contradicting=tuple(contradicting_records(folders)),
    )


def require_boards(scores: Scores, results: Sequence[Path]) -> None:
    """Raise RecordError, with the first reason, if every record below some results folders was refused."""
    if scores.refused and not scores.boards:
        first, *others = scores.refused
        more = f" ({len(others)} more records were refused)" if others else ""
        raise RecordError(f"there is nothing to score in {', '.join(map(str, results))}: {first.words}{more}")


def _not_scored(group: RecordGroup, reasons: Mapping[Path, str]) -> list[Superseded]:
    names: dict[str, list[str]] = {}
    for folder, reason in reasons.items():
        names.setdefault(reason, []).append(folder.name)
    return [
        Superseded(
            track=group.track, device_class=group.device_class, reason=reason, records=tuple(sorted(names[reason]))
        )
        for reason in sorted(names)
    ]


def _in_order(groups: Mapping[RecordGroup, list[StoredRecord]], spec: Spec) -> list[RecordGroup]:
    """Sort groups by the spec's order of tracks; within one, those of the spec's own digests come first."""
    order = list(spec.tracks)

    def key(group: RecordGroup) -> tuple[int, bool, bool, RecordGroup]:
        track = spec.tracks[group.track]
        own = (group.training != track.training_digest, group.testsets != track.testsets_digest)
        return order.index(group.track), *own, group

    return sorted(groups, key=key)


def _boards(group: RecordGroup, admitted: Iterable[ScoredRun], spec: Spec) -> list[Board]:
    track = spec.tracks[group.track].with_pair(group.pair)
    runs = sorted(admitted, key=lambda run: (run.record.seed, run.record.run_id))
    keys = boards_of([run.record for run in runs], track)
    contexts = [BoardContext.of(runs, key, track, spec.scoring) for key in keys]
    return [_board(group, runs, context) for context in contexts]


def _board(group: RecordGroup, runs: Sequence[ScoredRun], context: BoardContext) -> Board:
    of_board = [run for run in runs if belongs(run.record, context.question, context.direction)]
    rows = with_differing_settings(board_rows(of_board, context))
    return Board(
        track=group.track,
        question=context.question,
        direction=context.direction,
        training_digest=group.training,
        testsets_digest=group.testsets,
        device_class=group.device_class,
        num_classes=context.num_classes,
        pair=group.pair,
        seeds=tuple(sorted({run.record.seed for run in of_board})),
        rows=rows,
        scale=scale_of(of_board, context),
        smallest_effect=context.scoring.smallest_effect,
        tests=tests_of(rows, context.scoring) if any(row.p_value is not None for row in rows) else 0,
        null_band=null_band(rows, context.question, context.scoring),
        index_band=_index_band(rows, context),
    )


def _index_band(rows: Sequence[Row], context: BoardContext) -> Range | None:
    return index_band(rows, context.swapped[0], context.scoring) if context.question == "architecture" else None


def write_scores(scores: Scores, path: Path) -> None:
    """Write `scores.json`.

    Raises:
        WriteError: the file cannot be written.
    """
    with atomic_file(path) as file:
        file.write(scores_text(scores).encode())


def scores_text(scores: Scores) -> str:
    """Return the text of `scores.json`, with sorted keys and rounded numbers: the same records give the same bytes."""
    return json.dumps(_rounded(scores.model_dump(mode="json")), sort_keys=True, indent=1, allow_nan=False) + "\n"


def write_if_possible(scores: Scores, path: Path) -> tuple[str, ...]:
    """Write `scores.json`; where that is impossible, return a sentence about it. A results folder may be read-only."""
    try:
        write_scores(scores, path)
    except WriteError as error:
        return (f"the scores are not kept: {error}",)
    return ()


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
