"""The runs of records in MLflow: one per record."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import RecordError
from kdbench.records import (
    LOG,
    PREDICTIONS,
    RESULT,
    SOURCE,
    WEIGHTS,
    Record,
    find_records,
    read_predictions,
    read_record,
)
from kdbench.scoring.resampling import Resampler
from kdbench.spec import Spec
from kdbench.tracking.entries import Content, Entry
from kdbench.tracking.names import distinct_names, features_of
from kdbench.tracking.values import biases, curve_metrics, final_metrics, parameters, run_tags, text


@dataclass(frozen=True)
class _StoredRecord:
    folder: Path
    record: Record


def entries_of_records(results: Path, spec: Spec, damaged: list[str]) -> list[Entry]:
    """Return the runs of the records below a folder.

    Args:
        results: folder of records.
        spec: of the records, for biases and settings of the training.
        damaged: gets a sentence for each record that cannot be read.
    """
    stored = list(_stored_records(results, damaged))
    resampler = Resampler(spec.scoring.bootstrap_samples)
    titles: dict[Path, str] = {}
    for track in dict.fromkeys(each.record.track for each in stored):
        of_track = [each for each in stored if each.record.track == track]
        names = distinct_names([features_of(each.record) for each in of_track])
        titles |= {each.folder: name for each, name in zip(of_track, names, strict=True)}
    return [_entry_of_record(each, titles[each.folder], spec, resampler) for each in stored]


def _stored_records(results: Path, damaged: list[str]) -> Iterator[_StoredRecord]:
    for folder in find_records(results):
        try:
            record = read_record(folder)
            if record.track != folder.parent.name:
                raise RecordError(f"{folder / RESULT} names the track {record.track!r}, not that of its folder")
        except RecordError as error:
            damaged.append(str(error))
        else:
            yield _StoredRecord(folder, record)


def _entry_of_record(stored: _StoredRecord, title: str, spec: Spec, resampler: Resampler) -> Entry:
    record = stored.record
    return Entry(
        kind="record",
        track=record.track,
        name=f"{record.track}/{stored.folder.name}",
        title=title,
        digest=hashlib.sha256((stored.folder / RESULT).read_bytes()).hexdigest(),
        content=lambda: _content_of_record(stored, spec, resampler),
    )


def _content_of_record(stored: _StoredRecord, spec: Spec, resampler: Resampler) -> Content:
    record, folder = stored.record, stored.folder
    track = spec.tracks.get(record.track)
    bias, undefined = dict[str, float](), ""
    if track is not None and record.test:
        bias, undefined = biases(read_predictions(folder, record), track, spec.scoring, resampler)
    metrics = [(name, value, 0) for name, value in final_metrics(record, bias).items()]
    for step, epoch in enumerate(record.curves):
        metrics += [(name, value, step) for name, value in curve_metrics(epoch).items()]
    artifacts = [folder / name for name in (RESULT, PREDICTIONS, WEIGHTS, LOG, SOURCE) if (folder / name).is_file()]
    return Content(
        params=parameters(record, track),
        tags={**run_tags(record), **({"bias_undefined": text(undefined)} if undefined else {})},
        metrics=metrics,
        ended=(folder / RESULT).stat().st_mtime,
        seconds=record.timing.training + record.timing.evaluation,
        artifacts=artifacts,
        failed=record.status != "ok",
    )
