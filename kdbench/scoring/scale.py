"""The scale at which the numbers of a board hold: budget, networks and seeds."""

from collections.abc import Iterable, Sequence

from kdbench.records import Record
from kdbench.scoring.context import BoardContext, ScoredRun, kind_of
from kdbench.scoring.scores import BoardScale
from kdbench.spec import Family


def scale_of(runs: Sequence[ScoredRun], context: BoardContext) -> BoardScale | None:
    """Return the scale of a board, from its official runs if it has any; None if no run ended well.

    The budget is that of the independent students, or of other students without them. Control arms are left out.
    """
    whole = [run.record for run in runs if run.measured is not None and kind_of(run.record) != "control"]
    records = [record for record in whole if record.official] or whole
    if not records:
        return None
    students = [record for record in records if record.role == "student"]
    alone = [record for record in students if kind_of(record) == "independent"]
    trained = (alone or students or records)[0]
    epochs = len(trained.timing.epochs)
    seeds = {record.seed for record in records}
    pairs = context.track.networks.pairs
    return BoardScale(
        epochs=epochs,
        updates=trained.budget.steps,
        images=trained.budget.examples // max(epochs, 1),
        parameters=_parameters(records),
        seeds=len(seeds),
        backbones=len({seed % pairs for seed in seeds}) if pairs else 1,
    )


def _parameters(records: Iterable[Record]) -> dict[Family, int]:
    return {record.family: record.parameters for record in sorted(records, key=lambda record: record.family)}
