"""The templates of the pages: their environment, filters and names."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kdbench.leaderboard import wording
from kdbench.leaderboard.badges import badge_path
from kdbench.leaderboard.board_table import BoardLine
from kdbench.leaderboard.boards import board_path
from kdbench.leaderboard.downloads import BIBTEX, csv_path, json_path
from kdbench.leaderboard.headlines import percent
from kdbench.leaderboard.method_pages import method_path
from kdbench.resources import shipped
from kdbench.scoring.findings import digits_of, finding_words

TEMPLATES = ("leaderboard", "templates")


def template_environment() -> Environment:
    """Return Jinja's environment: every template is escaped, and an undefined variable is an error."""
    folder = shipped(*TEMPLATES)
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number,
        capitalized=wording.capitalized,
        lower_first=wording.lower_first,
        count=wording.count,
        p_value=wording.p_value,
        finding_words=finding_words,
        digits_of=digits_of,
        duration=wording.duration,
        memory=wording.memory,
        plural=wording.plural,
        device_words=wording.device_words,
        ratio=wording.ratio,
        method_path=method_path,
        board_path=board_path,
        badge_path=badge_path,
        csv_path=csv_path,
        json_path=json_path,
        same_basis=BoardLine.same_basis,
        percent=percent,
    )
    environment.globals.update(_globals(folder))
    return environment


def _globals(folder: Path) -> dict[str, Any]:
    def inlined(name: str) -> Markup:
        """Return a shipped style sheet or script, the only text that is not escaped."""
        return Markup((folder / name).read_text(encoding="utf-8"))

    return {
        "inlined": inlined,
        "axes": wording.SHOWN_AXES,
        "axis_names": wording.AXIS_NAMES,
        "axis_hints": wording.AXIS_HINTS,
        "bibtex_path": BIBTEX,
        "direction_words": wording.direction_words,
        "question_titles": wording.QUESTION_TITLES,
        "question_names": wording.QUESTION_NAMES,
    }
