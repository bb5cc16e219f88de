"""Settings of methods, from the command line and from a file: each combination of values is a row."""

from pathlib import Path

import pytest

from kdbench.errors import InputError, SubmissionError
from kdbench.plan.submissions import read_submissions
from kdbench.plan.sweeps import MOST_ROWS, read_sweeps
from tests.planned_runs import described_here, trial_on


def test_single_values_make_one_row() -> None:
    texts = ["lm.temperature=2", "lm.distill_weight=0.5", "mine.note=a=b", 'mine.mode="fast"']
    assert read_sweeps(texts) == {
        "lm": ({"temperature": 2, "distill_weight": 0.5},),
        "mine": ({"note": "a=b", "mode": "fast"},),
    }


def test_lists_make_a_row_per_combination() -> None:
    assert read_sweeps(["at.beta=1,10", 'at.mode="a","b"'])["at"] == (
        {"beta": 1, "mode": "a"},
        {"beta": 1, "mode": "b"},
        {"beta": 10, "mode": "a"},
        {"beta": 10, "mode": "b"},
    )
    assert read_sweeps(["at.stages=[1, 2],[3]"])["at"] == ({"stages": [1, 2]}, {"stages": [3]})


def test_a_file_has_a_table_per_method(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text("[lm]\ntemperature = [2, 4]\ndistill_weight = 0.5\n")
    assert read_sweeps(["crd.rate=1"], path) == {
        "crd": ({"rate": 1},),
        "lm": ({"temperature": 2, "distill_weight": 0.5}, {"temperature": 4, "distill_weight": 0.5}),
    }


@pytest.mark.parametrize("text", ["temperature=2", "lm.temperature", ".temperature=2", "lm.=2"])
def test_a_config_that_names_no_method_or_key_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not METHOD\.KEY=VALUE"):
        read_sweeps([text])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["lm.temperature=2,4,2"], "--config: lm.temperature lists 2 twice"),
        (["lm.temperature=2", "lm.temperature=4"], "lm.temperature is given twice, the second time by --config"),
        ([f"lm.temperature={','.join(map(str, range(MOST_ROWS + 1)))}"], f"at most {MOST_ROWS}"),
    ],
)
def test_what_is_given_twice_or_too_often_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_sweeps(texts)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lm = 3", r"lm = 3 is not a table of settings; write \[lm\]"),
        ("[lm", r"sweep\.toml is not TOML"),
        ("[lm]\ntemperature = []", "lm.temperature lists no value"),
        ("[lm]\ntemperature = [1, 1]", "lm.temperature lists 1 twice"),
        ("[crd]\nrate = 2", "crd.rate is given twice, the second time by --sweep"),
    ],
)
def test_a_wrong_file_is_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(text)
    with pytest.raises(InputError, match=words):
        read_sweeps(["crd.rate=1"], tmp_path / "sweep.toml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.toml cannot be read"):
        read_sweeps([], tmp_path / "nowhere.toml")


def test_each_setting_is_a_submission() -> None:
    submissions = read_submissions(["lm"], read_sweeps(["lm.temperature=2,4"]), trial_on(), described_here)
    assert [(each.name, each.config.get("temperature")) for each in submissions] == [
        ("independent", None),
        ("lm", 2.0),
        ("lm", 4.0),
    ]


def test_two_values_that_mean_the_same_are_refused() -> None:
    with pytest.raises(InputError, match=r"the settings of lm list temperature=2\.0, distill_weight=0\.9 twice"):
        read_submissions(["lm"], read_sweeps(["lm.temperature=2,2.0"]), trial_on(), described_here)


def test_an_unknown_setting_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(SubmissionError, match="no setting 'temprature'; allowed: temperature, distill_weight"):
        read_submissions(["lm"], read_sweeps(["lm.temprature=2,4"]), trial_on(), described_here)


def test_an_unknown_method_is_refused_with_those_that_run() -> None:
    with pytest.raises(InputError, match="names the method 'crd', which is not run; running: independent, lm"):
        read_submissions(["lm"], read_sweeps(["crd.rate=1,2"]), trial_on(), described_here)
