"""The documents agree with the code: options, links, versions, and the metadata of the data sets."""

import json
import re
import runpy
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from kdbench.cli.main import app
from kdbench.resources import VERSION
from kdbench.testsets.spec import load_spec

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("datasets/*/*.md"),
    *ROOT.glob("benchmark/**/*.md"),
    *ROOT.glob("leaderboard/**/*.md"),
]
CURRENT = [
    path for path in DOCUMENTS if path.name != "CHANGELOG.md"
]  # the changelog also tells of options that are gone
DATA_SETS = ("synthetic", "cifar10")
EVERYWHERE = ("--help",)  # options of every command
SECTIONS_OF_A_DATASHEET = [
    "Motivation",
    "Composition",
    "Collection process",
    "Preprocessing, cleaning, labelling",
    "Uses",
    "Distribution",
    "Maintenance",
]


def by_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands_of(text: str) -> list[list[str]]:
    """Return the words of every `kdbench ...` in a document, in a block or in a line, without comments."""
    block = re.compile(r"^ *```\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    lines = [line for part in block.findall(text) for line in re.split(r"\n|&&", part)]
    lines += re.findall(r"`([^`]+)`", block.sub("", text))
    runs = [re.sub(r"^.*nox -s benchmark --", "kdbench run", line) for line in lines]
    calls = [re.search(r"(?:^|/|\s)kdbench (.*)", line.partition(" #")[0]) for line in runs]
    return [call[1].split() for call in calls if call]


def faults_of(words: list[str]) -> list[str]:
    """Return the words of a call that are no command or option of kdbench, and the options that lack a value."""
    command: Any = typer.main.get_command(app)
    while words and (subcommands := getattr(command, "commands", None)) is not None:
        if words[0] not in subcommands:
            return [word for word in words[:1] if word not in EVERYWHERE]
        command, words = subcommands[words[0]], words[1:]
    options = {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}
    faults = []
    for word, following in pairwise([*words, "--"]):
        name, equals, _ = word.partition("=")
        option = options.get(name)
        if name.startswith("--") and (option is None or not (option.is_flag or equals or following[:2] != "--")):
            faults.append(word)
    return [fault for fault in faults if fault not in EVERYWHERE]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("`kdbench run --controls basic --seeds=0`", []),
        ("`kdbench run --controls`", ["--controls"]),
        ("```\nnox -s benchmark -- --teachers 2      # an option that is gone\n```", ["--teachers"]),
        ("```\n.venv/bin/kdbench data build && .venv/bin/kdbench ranks\n```", ["ranks"]),
    ],
)
def test_commands_in_texts_are_found_and_their_faults_named(text: str, faults: list[str]) -> None:
    calls = commands_of(text)
    assert calls
    assert [word for call in calls for word in faults_of(call)] == faults


@pytest.mark.parametrize("path", CURRENT, ids=by_name)
def test_commands_in_a_document_have_the_options_that_it_gives(path: Path) -> None:
    assert [word for call in commands_of(path.read_text()) for word in faults_of(call)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=by_name)
def test_links_of_a_document_lead_to_files_and_headings(path: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        name, _, heading = link.partition("#")
        target = path.parent / name if name else path
        if "://" not in link and not (target.exists() and (not heading or heading in anchors(target))):
            broken.append(link)
    assert broken == []


def anchors(path: Path) -> set[str]:
    """Return the names by which GitHub links to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_protocol_has_the_doses_of_the_spec() -> None:
    rows = re.findall(
        r"^\| teacher `(shape|texture)` \| (.+) \|$", (ROOT / "benchmark" / "PROTOCOL.md").read_text(), re.M
    )
    shape, texture = (dict(rows)[cue].split(" | ") for cue in ("shape", "texture"))
    planted = load_spec().track("synthetic").planted
    assert planted
    assert tuple(zip(map(float, shape), map(float, texture), strict=True)) == planted.doses


def test_the_citation_has_the_title_and_the_version_of_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["title"] == f"{project['name']}: {project['description']}"
    assert citation["version"] == VERSION
    assert citation["license"] == project["license"]


def test_the_changelog_has_a_section_for_the_version() -> None:
    assert f"\n## {VERSION}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_croissant_file_has_the_numbers_of_the_manifest_and_files(name: str) -> None:
    script = runpy.run_path(str(ROOT / "datasets" / "croissant.py"))
    path = ROOT / "datasets" / name / "croissant.json"
    assert script["as_text"](script["updated"](json.loads(path.read_text()), path.parent)) == path.read_text()


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_croissant_file_lists_every_file_that_images_are_made_from(name: str) -> None:
    folder = ROOT / "datasets" / name
    listed = {file["name"] for file in json.loads((folder / "croissant.json").read_text())["distribution"]}
    assert {path.name for path in folder.iterdir() if path.suffix in (".npz", ".toml")} <= listed


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_datasheet_has_the_sections_of_datasheets_for_datasets(name: str) -> None:
    text = (ROOT / "datasets" / name / "DATASHEET.md").read_text()
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == SECTIONS_OF_A_DATASHEET
