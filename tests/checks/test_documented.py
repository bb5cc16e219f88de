"""The documents say what the checks claim, and which broken files each of them catches."""

from pathlib import Path

from tests.checks.broken_methods import table_lines

DOCUMENT = Path(__file__).parents[2] / "docs" / "checks.md"


def test_the_table_of_the_checks_is_up_to_date() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert rows == table_lines()
