"""Method files: what is found, what is refused and in which words."""

from dataclasses import asdict
from pathlib import Path
from textwrap import dedent

import pytest

from kdbench.errors import SubmissionError
from kdbench.methods import files
from kdbench.methods.files import list_submissions, read_method_file, submission_path
from kdbench.methods.loading import load_submission, parse_config

SOUND = '''
"""A method."""
from dataclasses import dataclass
from torch.nn import functional as F
from kdbench.api import BOTH, Method

class Sound(Method):
    """Its docstring."""
    name, paper, summary, directions = "sound", "", "cross-entropy", BOTH

    @dataclass(frozen=True)
    class Config:
        weight: float = 0.5
        layers: int = 2
        views: tuple[int, ...] = (1, 2)
        hard: bool = False
        kind: str = "linear"

        def __post_init__(self):
            if self.weight < 0:
                raise ValueError(f"weight must not be negative, got {self.weight}")

    def loss(self, batch, student, teacher):
        return F.cross_entropy(student.logits, batch.labels)
'''


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return written(tmp_path, SOUND)


def written(folder: Path, text: str) -> Path:
    path = folder / "method.py"
    path.write_text(dedent(text))
    return path


def refusal(path: str | Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(SubmissionError) as caught:
        load_submission(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert caught.value.exit_code == 2
    return sentence


@pytest.mark.parametrize("name", list_submissions())
def test_a_shipped_submission_is_sound_and_named_like_its_file(name: str) -> None:
    assert load_submission(name).name == name


def test_the_two_first_methods_ship() -> None:
    assert {"independent", "lm"} <= set(list_submissions())


def test_a_method_is_found_by_path(sound: Path) -> None:
    assert load_submission(sound).name == "sound"
    assert load_submission(str(sound)) is load_submission(sound)


def test_an_edited_file_is_loaded_anew(sound: Path) -> None:
    before = load_submission(sound)
    written(sound.parent, SOUND.replace('"sound"', '"other"'))
    assert (before.name, load_submission(sound).name) == ("sound", "other")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    sentence = refusal("lmm")
    assert "'lmm'" in sentence
    assert "independent, " in sentence


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "no.py") in refusal(tmp_path / "no.py")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_file_that_does_not_import_is_refused_with_the_exception(tmp_path: Path, text: str, reason: str) -> None:
    sentence = refusal(written(tmp_path, text))
    assert "does not import" in sentence
    assert reason in sentence


def test_a_file_without_a_method_is_refused_even_if_it_imports_one(tmp_path: Path) -> None:
    assert "no subclass" in refusal(written(tmp_path, "from kdbench.api import Method"))


def test_a_file_with_two_methods_is_refused_with_their_names(tmp_path: Path) -> None:
    text = "from kdbench.api import Method\nclass One(Method): pass\nclass Two(Method): pass\n"
    assert "One, Two" in refusal(written(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("name, paper, summary, directions = ", "name, paper, title, way = ", "summary, directions"),
        ('"sound"', '"Sound Method"', "'Sound Method'"),
        ('"sound"', '"teacher"', "'teacher', which is reserved"),
        ('"cross-entropy", BOTH', '"cross-entropy", ("cnn-to-rnn",)', "cnn-to-vit, vit-to-cnn"),
        ('"cross-entropy", BOTH', '"cross-entropy", ()', "directions = ()"),
        ('"cross-entropy", BOTH', '"cross-entropy", (["cnn-to-vit"],)', "directions = (['cnn-to-vit'],)"),
        ('"cross-entropy", BOTH', '"cross-entropy", "cnn-to-vit"', "directions = 'cnn-to-vit'"),
        ("    @dataclass", '    needs = frozenset({"logit"})\n    @dataclass', "logits, pooled"),
        ("def loss(", "def losses(", "neither `loss` nor `step`"),
        ("@dataclass(frozen=True)", "@dataclass", "not frozen"),
        ("@dataclass(frozen=True)", "", "not a dataclass"),
        ("weight: float = 0.5", "weight: float = -1.0", "weight must not be negative"),
    ],
)
def test_a_breach_of_the_contract_is_named(tmp_path: Path, old: str, new: str, reason: str) -> None:
    sentence = refusal(written(tmp_path, SOUND.replace(old, new)))
    assert reason in sentence
    assert "Sound" in sentence


def test_config_values_are_read_from_strings(sound: Path) -> None:
    config = parse_config(load_submission(sound), {"weight": "2", "layers": "3", "hard": "true", "kind": "7"})
    assert asdict(config) == {"weight": 2.0, "layers": 3, "views": (1, 2), "hard": True, "kind": "7"}


def test_config_survives_json(sound: Path) -> None:
    method = load_submission(sound)
    config = method.Config(weight=0.25, views=(4, 5, 6))
    values = asdict(config) | {"views": [4, 5, 6]}
    assert parse_config(method, values) == config


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"temprature": "2"}, "allowed: temperature, distill_weight"),
        ({"temperature": "hot"}, "lm.temperature = 'hot'"),
        ({"temperature": "0"}, "temperature must be above 0"),
    ],
)
def test_a_wrong_config_is_refused(values: dict[str, str], reason: str) -> None:
    with pytest.raises(SubmissionError) as caught:
        parse_config(load_submission("lm"), values)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_comments_docstrings_and_layout_do_not_change_the_code_digest(sound: Path) -> None:
    before = read_method_file(sound).code
    changed = SOUND.replace('    """Its docstring."""\n', "    # a comment\n\n").replace(
        '"""A method."""', '"""Other."""'
    )
    assert changed != SOUND
    assert read_method_file(written(sound.parent, changed)).code == before


@pytest.mark.parametrize(("old", "new"), [("0.5", "0.6"), ("weight < 0", "weight <= 0"), ("(1, 2)", "(2, 1)")])
def test_a_change_of_code_changes_the_code_digest(sound: Path, old: str, new: str) -> None:
    before = read_method_file(sound).code
    assert read_method_file(written(sound.parent, SOUND.replace(old, new))).code != before


@pytest.fixture
def changed_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let another file stand for `kdbench.blocks`, with one statement more."""
    blocks = tmp_path / "blocks.py"
    blocks.write_text(files.BLOCKS.read_text() + "\nADDED = 1\n")
    monkeypatch.setattr(files, "BLOCKS", blocks)
    return blocks


IMPORTS_OF_BLOCKS = [
    "from kdbench.blocks import kd_loss",
    "from kdbench import blocks",
    "from kdbench import *",
    "import torch, kdbench.blocks as parts",
]
OTHER_IMPORTS = ["from kdbench.api import Term", "import kdbench.api", "from torch import blocks", "import blocks"]


@pytest.mark.parametrize(
    ("line", "changes"), [*((line, True) for line in IMPORTS_OF_BLOCKS), *((line, False) for line in OTHER_IMPORTS)]
)
def test_the_code_of_the_blocks_counts_for_methods_that_import_them(
    line: str, changes: bool, sound: Path, request: pytest.FixtureRequest
) -> None:
    path = written(sound.parent, f"{line}\n{SOUND}")
    before = read_method_file(path).code
    request.getfixturevalue("changed_blocks")
    assert (read_method_file(path).code != before) == changes


def test_a_change_of_the_blocks_leaves_the_code_of_the_papers_methods(request: pytest.FixtureRequest) -> None:
    def codes() -> dict[str, str]:
        return {name: read_method_file(submission_path(name)).code for name in list_submissions()}

    before = codes()
    request.getfixturevalue("changed_blocks")
    unchanged = {name for name, code in codes().items() if code == before[name]}
    assert unchanged == {"independent", "lm", "crd", "cskd", "vlfkd", "sskd", "capd"}


def test_a_comment_in_the_blocks_changes_no_code_digest(changed_blocks: Path) -> None:
    before = read_method_file(submission_path("at")).code
    changed_blocks.write_text("# a comment\n" + changed_blocks.read_text())
    assert read_method_file(submission_path("at")).code == before


def test_the_code_digest_of_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="not Python"):
        read_method_file(written(tmp_path, "def broken(:"))


def test_the_path_of_a_name_lies_among_the_submissions() -> None:
    assert submission_path("lm").parts[-3:] == ("benchmark", "submissions", "lm.py")
