"""The sites that the browser opens: one that is scored from records, and one that is hard to lay out."""

from pathlib import Path

from kdbench.leaderboard.publish import publish
from kdbench.leaderboard.render import render_site
from kdbench.scoring.scores import Board
from kdbench.spec import QUESTIONS
from kdbench.testsets.spec import load_spec
from kdbench.timing.step_times import read_timings
from tests.leaderboard import examples
from tests.record_factory import write_matrix
from tests.timing.timing_files import entry, timing_file

HOSTILE = "<img src=http://127.0.0.1:9/x onerror=alert(1)>\"'&</table><script>console.log(1)</script>"
LONG = "x" * 640
MANY = 16  # methods of the long board, besides the two above
BOARD = "synthetic-planted-cnn-to-vit"  # the long board


def scored_site(folder: Path) -> Path:
    """Score the records of both questions, render the site, and return its folder."""
    for question in QUESTIONS:
        write_matrix(
            folder / "runs",
            methods=("lm", "crd"),
            seeds=range(3),
            directions=("cnn-to-vit",),
            images=50,
            controls=("random-teacher",),
            question=question,
        )
    publish([folder / "runs"], folder / "site")
    return folder / "site"


def crowded_site(folder: Path) -> Path:
    """Render a site with every kind of row, many methods, and names that are long or hostile; return its folder."""
    scores = examples.scores_of(examples.architecture_board(), long_board())
    timings = read_timings(timing_file(folder / "timing.json", entry(LONG, 0.3), entry("independent", 0.2)))
    page = render_site(
        scores,
        examples.records_of(scores),
        folder / "site",
        spec=load_spec(),
        gallery=examples.a_gallery(),
        timings=timings,
        faults=(HOSTILE, LONG),
    )
    return page.parent


def long_board() -> Board:
    """Return the planted board of the examples with many more methods."""
    board = examples.planted_board()
    many = (
        examples.method_row(f"method-{number:02}", "vit", examples.estimate(0.02 * number), rank=number + 3)
        for number in range(MANY)
    )
    return board.model_copy(
        update={"rows": (*many, examples.row_of_text(HOSTILE), examples.row_of_text(LONG), *board.rows)}
    )
