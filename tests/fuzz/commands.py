"""Commands on damaged folders and with any options: they end with exit code 0, or with one sentence and code 2."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from typer.testing import CliRunner

from kdbench.cli.main import app
from kdbench.errors import InputError
from kdbench.records import PREDICTIONS, RESULT
from kdbench.records.current import CURRENT, CurrentRecords
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.testsets.spec import load_spec
from tests.fuzz.leftovers import Leftovers, lay, leftovers
from tests.fuzz.mutations import arrays_of, damaged_json, damaged_npz, damaged_toml
from tests.fuzz.property import Property, check_message, seal_again
from tests.planned_runs import described_here
from tests.record_factory import write_matrix
from tests.time_limits import within_seconds

MOST_SECONDS = 120  # of a command
MOST_LINES = 4  # of a message, with the usage that the parser prints
PREFIX = "kdbench: error: "


def command_properties(root: Path) -> list[Property]:
    """Return what holds of commands, each with a folder of its own."""
    return [
        _spec(root / "cli-spec"),
        _on_records("cli-score", root / "cli-score", ["score", "results"], "results/scores.json"),
        _on_records(
            "cli-leaderboard",
            root / "cli-leaderboard",
            ["leaderboard", "results", "--site", "site"],
            "site/index.html",
        ),
        _run(root / "cli-run"),
    ]


def refusal_of(folder: Path, *arguments: str) -> str:
    """Give a command in a folder; return what it was refused with, nothing if it was accepted.

    Raises:
        AssertionError: it raised something, or refused its input with anything else than a sentence and exit code 2.
    """
    before = Path.cwd()
    load_spec.cache_clear()
    os.chdir(folder)
    try:
        with within_seconds(MOST_SECONDS):
            result = CliRunner().invoke(app, arguments)
    finally:
        os.chdir(before)
        load_spec.cache_clear()
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 2), f"exit code {result.exit_code}: {result.stderr[:600]}"
    if result.exit_code == 0:
        return ""
    lines = result.stderr.strip().splitlines()
    assert 1 <= len(lines) <= MOST_LINES, result.stderr[:600]
    for line in lines:
        check_message(line, ("",))
    assert lines[0].startswith((PREFIX, "Usage: ")), lines[0]
    return str(result.stderr)


def _spec(place: Path) -> Property:
    place.mkdir()

    def holds(content: bytes) -> bool:
        (place / "spec.toml").write_bytes(content)
        return not refusal_of(place, "spec", "spec.toml")

    return Property("cli-spec", damaged_toml(shipped(*SPEC_PATH).read_bytes()), holds)


def _on_records(name: str, place: Path, arguments: Sequence[str], made: str) -> Property:
    """Return that a command on a results folder, of which one record is damaged, makes its file whole or not at all."""
    folders = write_matrix(place / "whole", images=20, directions=("cnn-to-vit",))
    record = folders[-1].relative_to(place / "whole")

    def holds(left: Leftovers) -> bool:
        results = place / "results"
        shutil.copytree(place / "whole", results)
        for file in left:
            (results / file).unlink(missing_ok=True)
        lay(results, left)
        seal_again(results / record)
        accepted = not refusal_of(place, *arguments)
        assert (place / made).exists() == accepted
        if accepted:
            assert json.loads((results / "scores.json").read_bytes())
        assert not [path for path in place.rglob(".*") if path.name != ".scratch"], "a temporary file is left"
        for folder in ("results", "site"):
            shutil.rmtree(place / folder, ignore_errors=True)
        return accepted

    lists = CurrentRecords(current=(folders[0].name,), outdated=(folders[1].name,), codes={}).model_dump_json().encode()
    damages = {
        str(record / RESULT): damaged_json((folders[-1] / RESULT).read_bytes()),
        str(record / PREDICTIONS): damaged_npz(arrays_of(folders[-1] / PREDICTIONS)),
        CURRENT: damaged_json(lists),
    }
    return Property(name, leftovers({CURRENT: lists}, damages), holds, heavy=True)


_NUMBERS = st.sampled_from(("1", "10", "0", "-1", "1e9", "nan", "9" * 400, "", "x")) | st.integers(1, 99).map(str)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_OPTIONS: dict[str, SearchStrategy[str]] = {
    "--seeds": st.sampled_from(("0", "0-3", "0,1", "3-1", "0-" + "9" * 30, "9" * 5000)) | _TEXTS,
    "--config": st.sampled_from(("lm.temperature=2", "lm.temperature=-1", "lm.temperature=nan", "lm.=", "crd.x=1"))
    | st.builds("lm.{}={}".format, st.sampled_from(("temperature", "distill_weight", "x")), _TEXTS | _NUMBERS)
    | _TEXTS,
    "--methods": st.sampled_from(("lm", "lm,independent", "lmm", "nowhere.py", ",", "spec.toml", "a folder.py"))
    | _TEXTS,
    "--directions": st.sampled_from(("cnn-to-vit", "cnn-to-vit,vit-to-cnn", "cnn-to-rnn")) | _TEXTS,
    "--track": st.sampled_from(("synthetic", "cifar10-32", "imagenet")) | _TEXTS,
    "--epochs": _NUMBERS,
    "--limit-train": _NUMBERS,
    "--limit-test": _NUMBERS,
    "--time-limit": _NUMBERS,
    "--memory-limit": _NUMBERS,
    "--workers": _NUMBERS,
    "--device": st.sampled_from(("cpu", "tpu")) | _TEXTS,
    "--sandbox": st.sampled_from(("auto", "off", "on")) | _TEXTS,
    "--weights-dir": st.just("nowhere") | _TEXTS,
    "--spec": st.just("nowhere.toml") | _TEXTS,
}


@st.composite
def run_options(draw: st.DrawFn) -> list[str]:
    """Draw options of `kdbench run`."""
    chosen = draw(st.lists(st.sampled_from(sorted(_OPTIONS)), max_size=3, unique=True))
    options = {"--device": "cpu", "--methods": "lm"} | {name: draw(_OPTIONS[name]) for name in chosen}
    return [text for pair in options.items() for text in pair]


def _run(place: Path) -> Property:
    """Return that options are planned or refused in a sentence; nothing is run of those that are planned."""
    (place / "a folder.py").mkdir(parents=True)
    before = sorted(place.iterdir())
    planned = mock.patch("kdbench.networks.models.check_weights", side_effect=InputError("all options are right"))
    describer = mock.patch("kdbench.jobs.invocation.ConfinedDescriber", return_value=described_here)

    def holds(options: Sequence[str]) -> bool:
        with planned, describer:
            refusal = refusal_of(place, "run", "--out", "runs", "--site", "site", *options)
        if (place / "site").exists():
            (place / "site").rmdir()
        assert sorted(place.iterdir()) == before, "something is left of a refused command"
        return "all options are right" in refusal

    return Property("cli-run", run_options(), holds, heavy=True)
