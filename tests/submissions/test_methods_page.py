"""`benchmark/METHODS.md` tells the settings that the methods have, all of them and no other."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from kdbench.methods.loading import load_submission

PAGE = Path(__file__).parents[2] / "benchmark" / "METHODS.md"
PAPERS_METHODS = {"independent", "lm", "crd", "cskd", "vlfkd", "sskd", "capd"}


def sections() -> dict[str, str]:
    """What the page says under the heading of each method."""
    parts = re.split(r"^## (.+)\n", PAGE.read_text(), flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name.islower()}


def settings(section: str) -> dict[str, str]:
    """Setting and default of each row of a section's table."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", section, flags=re.MULTILINE))


def test_each_of_the_seven_methods_has_a_section() -> None:
    assert set(sections()) == PAPERS_METHODS


@pytest.mark.parametrize("name", sorted(PAPERS_METHODS))
def test_a_section_lists_every_setting_with_its_default(name: str) -> None:
    config = load_submission(name).Config()
    expected = {field.name: str(getattr(config, field.name)) for field in fields(config)}
    assert {key: value.strip('"') for key, value in settings(sections()[name]).items()} == expected


@pytest.mark.parametrize("name", sorted(PAPERS_METHODS))
def test_the_overview_tells_the_directions(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| ([^|]+) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert row
    directions = {"both": {"cnn-to-vit", "vit-to-cnn"}, "CNN to ViT": {"cnn-to-vit"}, "ViT to CNN": {"vit-to-cnn"}}
    assert directions[row[1].strip()] == {d for d in load_submission(name).directions if d[:3] != d[-3:]}


@pytest.mark.parametrize("name", sorted(PAPERS_METHODS))
def test_the_page_repeats_what_a_method_says_about_its_images(name: str) -> None:
    table = PAGE.read_text().partition("### Images")[2].partition("\n## ")[0]
    assert f"| `{name}` | {load_submission(name).images} |\n" in table
