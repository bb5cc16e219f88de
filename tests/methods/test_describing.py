"""A description says all that planning needs of a method, and a refusal says in a sentence what is wrong."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from kdbench.errors import SubmissionError
from kdbench.methods.describing import answer, describe
from kdbench.methods.files import MOST_BYTES, read_method_file, submission_path
from kdbench.methods.inquiries import Answer, Description, Inquiry
from tests.planned_runs import trial_on

METHOD = """
from dataclasses import dataclass
from kdbench.api import Method

class Mine(Method):
    name, paper, summary, directions = "mine", "", "sums", ("cnn-to-vit",)
    @dataclass(frozen=True)
    class Config:
        weight: float = 0.5
        views: tuple[int, ...] = (1, 2)
    def loss(self, batch, student, teacher):
        return student.logits.sum()
"""
REFUSING = METHOD + "    def __init__(self, task, config):\n        raise TypeError('no such shape')\n"


def inquiry(text: str | bytes, **more: object) -> Inquiry:
    source = text if isinstance(text, bytes) else text.encode()
    return Inquiry(Path("/elsewhere/mine.py"), source, **more)  # type: ignore[arg-type]


def test_a_description_holds_the_facts_and_the_config_as_json(tmp_path: Path) -> None:
    configs = {"mine": {"weight": "2"}, "lm": {"temperature": "3"}}
    described = describe(inquiry(METHOD, configs=configs), tmp_path)
    assert (described.name, described.summary, described.directions) == ("mine", "sums", ("cnn-to-vit",))
    assert (described.needs, described.uses_teacher, described.per_sample) == (("logits",), True, False)
    assert described.config == {"weight": 2.0, "views": [1, 2]}


def test_an_answer_survives_json(tmp_path: Path) -> None:
    given = answer(inquiry(METHOD, config={"weight": 1e-17}), tmp_path)
    assert given.description is not None
    assert Answer.model_validate_json(given.model_dump_json()) == given


def test_a_method_is_tried_only_in_the_directions_that_it_has(tmp_path: Path) -> None:
    text = METHOD + (
        "    def __init__(self, task, config):\n"
        "        super().__init__(task, config)\n"
        "        if task.teacher.family != 'cnn':\n"
        "            raise ValueError('only CNNs teach')\n"
    )
    assert describe(inquiry(text, trial=trial_on()), tmp_path).name == "mine"
    both = text.replace('("cnn-to-vit",)', '("cnn-to-vit", "vit-to-cnn")')
    with pytest.raises(SubmissionError, match="'mine' cannot run vit-to-cnn on this track: only CNNs teach"):
        describe(inquiry(both, trial=trial_on()), tmp_path)


def test_a_method_also_has_the_directions_within_a_family_that_its_networks_allow(tmp_path: Path) -> None:
    assert describe(inquiry(METHOD), tmp_path).beyond_paper == ("vit-to-vit",)
    assert describe(inquiry(METHOD, trial=trial_on()), tmp_path).beyond_paper == ("vit-to-vit",)
    picky = METHOD + "    def __init__(self, task, config):\n        assert task.teacher.family == 'cnn'\n"
    picky += "        super().__init__(task, config)\n"
    assert describe(inquiry(picky, trial=trial_on()), tmp_path).beyond_paper == ()


def test_a_method_names_directions_for_which_nobody_has_published_it(tmp_path: Path) -> None:
    text = METHOD + "    beyond_paper = ('vit-to-cnn',)\n"
    assert describe(inquiry(text), tmp_path).beyond_paper == ("vit-to-cnn", "vit-to-vit", "cnn-to-cnn")
    refusing = text + "    def __init__(self, task, config):\n        raise ValueError('no')\n"
    only_beyond = refusing.replace('("cnn-to-vit",)', '("cnn-to-cnn",)')
    with pytest.raises(SubmissionError, match="'mine' cannot run vit-to-cnn on this track: no"):
        describe(inquiry(only_beyond, trial=trial_on()), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "needs = frozenset({'logits', 'attention'})",
        "uses_teacher = False",
        "directions = ('cnn-to-vit', 'vit-to-vit')",
    ],
    ids=["attention", "no teacher", "published for it"],
)
def test_nothing_lies_beyond_the_paper_of_such_a_method(line: str, tmp_path: Path) -> None:
    assert describe(inquiry(f"{METHOD}    {line}\n"), tmp_path).beyond_paper == ()


def test_a_method_that_only_defines_a_loss_shows_the_images_as_they_are(tmp_path: Path) -> None:
    assert describe(inquiry(METHOD), tmp_path).images == "both networks see the images of the batch as they are"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import beside_me", ["mine.py:1: the file does not import", "'beside_me'", "a method is one file"]),
        ("raise KeyboardInterrupt", ["mine.py cannot be used: KeyboardInterrupt"]),
        (REFUSING, ["mine.py cannot be used: TypeError: no such shape"]),
        (METHOD.replace('"mine"', '"untrained"'), ["'untrained', which is reserved"]),
        (METHOD.replace('"mine"', f'"{"m" * 61}"'), ["name of 61 characters; at most 60 are allowed"]),
        (METHOD.replace('"sums"', f'"{"s" * 301}"'), ["summary", "at most 300 characters"]),
        (METHOD + "    images = 3\n", ["images", "at most 300 characters"]),
        (METHOD + "    def step(self, run, batch): ...\n", ["must say in `images` what it shows to either network"]),
        (METHOD + "    def prepare(self, run): ...\n", ["must say in `images` what it shows to either network"]),
        (METHOD + "    beyond_paper = ('up',)\n", ["beyond_paper = ('up',)", "cnn-to-vit"]),
        (METHOD + "    uses_teacher = 1\n", ["uses_teacher = 1", "True or False"]),
        (METHOD + "    views = 'four'\n", ["views = 'four'", "must be a number"]),
        (METHOD + "    views = float('inf')\n", ["views = inf", "from 1 to 64"]),
    ],
)
def test_whatever_a_file_does_is_answered_in_a_sentence(text: str, words: list[str], tmp_path: Path) -> None:
    refusal = answer(inquiry(text, trial=trial_on()), tmp_path).refusal
    assert refusal is not None
    assert all(word in refusal for word in words), refusal


VALID = Description(
    name="mine",
    summary="",
    paper="",
    images="",
    directions=("cnn-to-vit",),
    beyond_paper=("vit-to-vit",),
    needs=(),
    uses_teacher=True,
    views=1.0,
    per_sample=False,
    config={"kind": "linear"},
)


@pytest.mark.parametrize(
    "lie",
    [
        {"name": "teacher"},
        {"name": "../mine"},
        {"name": "mine\n"},
        {"name": "m" * 1000},
        {"directions": ["cnn-to-rnn"]},
        {"beyond_paper": ["rnn-to-rnn"]},
        {"images": "two\nlines"},
        {"directions": []},
        {"uses_teacher": "yes"},
        {"views": 1e9},
        {"config": {"rate": float("inf")}},
        {"config": {"kind": "\x1b[31mred"}},
        {"config": {"kinds": [{"k" * 3000: 1}]}},
        {"more": 1},
    ],
)
def test_a_description_that_an_honest_child_would_not_give_is_refused(lie: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Description.model_validate_json(json.dumps({**VALID.model_dump(mode="json"), **lie}))
    Description.model_validate_json(VALID.model_dump_json())


@pytest.mark.parametrize("text", ["{}", '{"refusal": "no", "description": null, "x": 1}', "[]", "null"])
def test_an_answer_is_either_a_description_or_a_refusal(text: str) -> None:
    with pytest.raises(ValidationError):
        Answer.model_validate_json(text)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"x = 1\0", "not Python"),
        (b"def (", "not Python: SyntaxError"),
        (b"x = '\xe4'", "not Python|not in UTF-8"),
        (b"# a\n# b\nx = '\xe4'", "not in UTF-8: byte 13"),
        (b"# coding: utf-7\nx = 1", "declares the encoding 'utf-7'"),
        (b"#" * (MOST_BYTES + 1), "more than 1,048,576 bytes"),
        (b"x = " + b"-" * 50_000 + b"1", "nests its code too deeply|not Python"),
        (b"x = " + b"1 + " * 50_000 + b"1", "nests its code too deeply"),
        (b"x = " + b"(" * 5_000 + b")" * 5_000, "not Python|nests its code too deeply"),
    ],
)
def test_a_file_that_cannot_be_hashed_is_refused_in_a_sentence(source: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(source)
    with pytest.raises(SubmissionError, match=words) as refused:
        read_method_file(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_bytes_that_are_hashed_are_those_that_were_read() -> None:
    path = submission_path("lm")
    file = read_method_file(path)
    assert (file.path, file.source) == (path, path.read_bytes())
