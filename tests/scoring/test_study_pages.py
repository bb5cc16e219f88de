"""The committed pages of the studies are what their scripts write from the committed numbers."""

import csv
import json

import pandas as pd

from tests.scoring.studies import VALIDITY, study_module


def test_the_page_of_the_validity_study_follows_from_its_numbers() -> None:
    results = json.loads((VALIDITY / "study.json").read_text())
    assert study_module("study").as_text(results) == (VALIDITY / "STUDY.md").read_text()


def test_the_page_of_the_settings_follows_from_its_numbers() -> None:
    with (VALIDITY / "methods.csv").open() as file:
        rows = [{**row, "accuracy": float(row["accuracy"])} for row in csv.DictReader(file)]
    assert study_module("tune_methods").as_text(rows, [1000]) == (VALIDITY / "METHODS.md").read_text()


def test_the_tables_of_the_simulation_follow_from_its_numbers() -> None:
    """The first one; its numbers are committed with three digits."""
    simulation = study_module("simulation")
    rows: dict[str, dict[str, str | int | float]] = {}
    with (VALIDITY / "simulation.csv").open() as file:
        for row in csv.DictReader(file):
            if row["table"] == "coverage":
                number, truth, seeds, spread = (part.rsplit(" ", 1)[1] for part in row["case"].split(", "))
                case: dict[str, str | int | float] = {"number": number, "truth": float(truth), "seeds": int(seeds)}
                case["backbone sd"] = spread
                rows.setdefault(row["case"], case)[row["quantity"]] = float(row["value"] or "nan")
    assert simulation.as_text({"coverage": list(rows.values())}).strip() in (VALIDITY / "SIMULATION.md").read_text()


def test_a_table_shows_digits_missing_numbers_and_columns_in_order() -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "count": [1, 20], "share": [0.12345, float("nan")]})
    table = study_module("study_tables").markdown_table(frame, decimals=2, missing="-")
    assert table.splitlines() == [
        "| name | count | share |",
        "|---|---|---|",
        "| a | 1 | 0.12 |",
        "| b | 20 | - |",
    ]
