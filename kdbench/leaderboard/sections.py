"""Everything that the pages say about one board, and the part of it that concerns one method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kdbench.leaderboard.board_table import BoardTable, board_table
from kdbench.leaderboard.boards import BoardView, track_of
from kdbench.leaderboard.costs import CostLine, cost_lines
from kdbench.leaderboard.curves import RowCurves, training_curves
from kdbench.leaderboard.dose_charts import DoseCharts, dose_charts
from kdbench.leaderboard.explanations import Explanations, explanations_of
from kdbench.leaderboard.frontier import Frontier, frontier
from kdbench.leaderboard.positions import Positions, positions
from kdbench.leaderboard.profiles import ProfileChart, profile_charts
from kdbench.leaderboard.provenance import BoardProvenance, RecordKey, board_provenance
from kdbench.leaderboard.published import PAPER_TRACK, PublishedTable, published_seconds
from kdbench.records import Record
from kdbench.records.verification import Verification
from kdbench.scoring.scores import RowKind
from kdbench.spec import Spec


@dataclass(frozen=True)
class BoardSection:
    """Everything that the pages say about one board.

    Attributes:
        paper_seconds: seconds per epoch as the paper printed them, by submission; empty on other tracks than the
            paper's.
    """

    view: BoardView
    doses: DoseCharts
    table: BoardTable
    positions: Positions | None
    frontier: Frontier | None
    explanations: Explanations
    charts: tuple[ProfileChart, ...]
    curves: tuple[RowCurves, ...]
    costs: tuple[CostLine, ...]
    paper_seconds: Mapping[str, str]
    provenance: BoardProvenance


@dataclass(frozen=True)
class SectionMaker:
    """What the sections of all boards are made from.

    Attributes:
        records: of all boards, in a fixed order.
        spec: the tracks.
        published: the paper's own tables.
        verifications: what `kdbench verify` said of records.
    """

    records: Sequence[Record]
    spec: Spec
    published: Sequence[PublishedTable]
    verifications: Mapping[RecordKey, Verification]

    def section(self, view: BoardView) -> BoardSection:
        """Return the section of a board, or of the rows of a board that a view has."""
        board, track = view.board, track_of(view.board, self.spec)
        records = [record for record in self.records if record.digests.testsets == board.testsets_digest]
        return BoardSection(
            view=view,
            doses=dose_charts(view, track.planted if track else None),
            table=board_table(view, self.verifications),
            positions=positions(view),
            frontier=frontier(view),
            explanations=explanations_of(view),
            charts=profile_charts(view),
            curves=training_curves(view, records),
            costs=cost_lines(view, records),
            paper_seconds=published_seconds(self.published, board.direction) if board.track == PAPER_TRACK else {},
            provenance=board_provenance(view, records),
        )


def narrowed(view: BoardView, method: str, kinds: Sequence[RowKind]) -> BoardView:
    """Return a board with the rows of one method, or of one control, beside its teachers and its independent student.

    Args:
        view: of the whole board.
        method: the name in the rows.
        kinds: of the rows, since a method and a control may share a name.
    """
    rows = (*view.methods, *view.controls, *view.variants)
    shown = tuple(row for row in rows if row.row.method == method and row.row.kind in kinds)
    return replace(view, methods=shown, controls=(), variants=())
