"""A submission is written if a reviewer would find nothing wrong, and holds what the board needs."""

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from kdbench.checks.report import CheckReport, Finding
from kdbench.errors import InputError, SubmissionError
from kdbench.methods.files import read_method_file
from kdbench.records import RESULT, find_records, read_predictions, read_record
from kdbench.records.integrity import check_record
from kdbench.records.storage import seal_record
from kdbench.records.verification import write_verification
from kdbench.review.card import CARD, read_card
from kdbench.review.points import Stated
from kdbench.review.rescoring import rescored
from kdbench.scoring.board import scores_text
from kdbench.scoring.frames import SCORES_FILE
from tests.examples import a_verification
from tests.review.submissions import (
    METHOD,
    SPEC,
    STATED,
    judged,
    planned_runs,
    records_of,
    submitted,
    write_submission,
)

RECORDS = Path("submission", "repository", "leaderboard", "submitted", "mine")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A method file beside all its runs of one seed, which no test changes."""
    return write_submission(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def file(whole: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    shutil.copytree(whole.parent / "runs", tmp_path / "runs")
    return Path(shutil.copy(whole, tmp_path))


def test_a_submission_holds_the_method_its_records_and_their_scores(file: Path, tmp_path: Path) -> None:
    prepared = submitted(file)
    assert judged(prepared, "failed") == {}
    runs = planned_runs(file, [0])
    copied = find_records(tmp_path / RECORDS)
    assert {read_record(folder).run_id for folder in copied} == {run.run_id for run in runs}
    assert not any(check_record(folder) for folder in copied)
    methods = tmp_path / "submission" / "repository" / "benchmark" / "submissions"
    assert (methods / "mine.py").read_text() == METHOD
    scores = (tmp_path / RECORDS / SCORES_FILE).read_text()
    assert '"mine"' in scores
    assert read_card(tmp_path / RECORDS) == prepared.card


def test_the_card_and_the_text_say_what_was_stated(file: Path, tmp_path: Path) -> None:
    submitted(file)
    card = tomllib.loads((tmp_path / RECORDS / CARD).read_text())
    assert (card["authors"], card["licence"]) == (["Ada Lovelace", "Grace Hopper"], "MIT")
    assert (card["paper"], card["seeds"], card["device"]) == ("arXiv:2601.00001", [0], "cpu")
    text = (tmp_path / "submission" / "pull-request.md").read_text()
    for words in ("Write here what you expected", "| licence | MIT |", "x86_64", "| note | there are 5 seeds, which"):
        assert words in text


def test_few_seeds_and_no_verification_are_notes(file: Path) -> None:
    notes = judged(submitted(file), "note")
    assert notes["there are 5 seeds, which a rank needs"] == "seeds 0: the row is shown without a rank|"
    assert "none of them, of 8 runs" in notes["somebody computed the runs of the method a second time"]


def test_a_second_submission_takes_the_place_of_the_first(file: Path, tmp_path: Path) -> None:
    submitted(file)
    first = sorted(path.relative_to(tmp_path) for path in (tmp_path / "submission").rglob("*"))
    assert submitted(file, stated=Stated(STATED.authors, STATED.citation, "BSD-3-Clause")).card
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "submission").rglob("*")) == first
    assert read_card(tmp_path / RECORDS).licence == "BSD-3-Clause"


def test_a_folder_with_other_files_is_refused_before_anything_is_done(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runs holds other files; choose another folder with --to"):
        submitted(file, to="runs")
    assert not (tmp_path / "runs" / "repository").exists()


def changed_code(file: Path) -> None:
    file.write_text(METHOD.replace("0.5", "0.25"))


def without_a_teacher(file: Path) -> None:
    shutil.rmtree(records_of(file, role="teacher")[0])


def damaged(file: Path) -> None:
    path = records_of(file, method="mine")[0] / RESULT
    path.write_text(path.read_text().replace('"peak_memory_bytes": 1000000000', '"peak_memory_bytes": 1'))


def all_unofficial(file: Path) -> None:
    for folder in records_of(file, method="mine"):
        seal_record(folder, read_record(folder).model_copy(update={"unofficial": ("--epochs 1",)}))


def an_unofficial_teacher(file: Path) -> None:
    folder = records_of(file, role="teacher")[0]
    seal_record(folder, read_record(folder).model_copy(update={"unofficial": ("--sandbox off",)}))


def refuted(file: Path) -> None:
    folder = records_of(file, method="mine")[0]
    record = read_record(folder)
    verification = a_verification(record, read_predictions(folder))
    write_verification(folder, verification.model_copy(update={"verdict": "different"}))


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        (changed_code, "there is no such record of mine on synthetic; records that are left out: 8 are made by other"),
        (without_a_teacher, "have none; first: "),
        (damaged, "1 are not; first: mine "),
        (all_unofficial, "8 are unofficial: --epochs 1"),
        (an_unofficial_teacher, "1 are not; first: teacher, seed 0: --sandbox off"),
        (refuted, "different: 1, of "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_reviewer_would_refuse_is_not_written(
    change: Callable[[Path], None], seen: str, file: Path, tmp_path: Path
) -> None:
    change(file)
    prepared = submitted(file)
    failed = judged(prepared, "failed")
    assert any(seen in words for words in failed.values()), failed
    assert all(point.remedy for point in prepared.points if point.judgement == "failed")
    assert prepared.card is None
    assert not (tmp_path / "submission").exists()


def test_missing_runs_come_with_the_command_that_makes_them(file: Path) -> None:
    shutil.rmtree(records_of(file, method="independent")[0])
    (words,) = judged(submitted(file), "failed").values()
    command = f"--methods {file} --questions architecture,planted --seeds 0 --out {file.parent / 'runs'}` makes them"
    assert words.endswith(command)


@pytest.mark.parametrize(
    ("stated", "options"),
    [
        (Stated(), "give --author and --citation and --licence"),
        (Stated(STATED.authors, STATED.citation, ""), "give --licence"),
    ],
)
def test_what_is_not_stated_is_asked_for(file: Path, stated: Stated, options: str) -> None:
    assert judged(submitted(file, stated=stated), "failed") == {
        "authors, citation and licence are given": f"some are missing|{options}"
    }


def test_a_file_that_fails_a_check_is_not_submitted(file: Path) -> None:
    report = CheckReport(findings=(Finding.failure("repeat", "mine.py:9: it differs"),))
    words = judged(submitted(file, check=lambda path: report), "failed")["the file passes `kdbench check`"]
    assert words.startswith("1 of 1 checks failed; first: mine.py:9: it differs|")


def test_a_method_that_does_not_say_what_it_shows_is_not_submitted(tmp_path: Path) -> None:
    source = METHOD.replace("    @dataclass", '    images = ""\n\n    @dataclass')
    failed = judged(submitted(write_submission(tmp_path, source=source)), "failed")
    assert failed == {
        "`images` says what the method shows to the networks": (
            "it is empty|write one sentence, which the leaderboard shows"
        )
    }


def test_records_of_other_settings_and_code_stay_out(file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = write_submission(tmp_path / "other", source=METHOD.replace("0.5", "0.25"))
    for folder in records_of(other, method="mine"):
        shutil.copytree(folder, tmp_path / "runs" / "synthetic" / folder.name)
    prepared = submitted(file)
    (left_out,) = (words for claim, words in judged(prepared, "note").items() if "made the records" in claim)
    assert "records that are left out: 8 are made by other code" in left_out
    assert len(find_records(tmp_path / RECORDS)) == len(planned_runs(file, [0]))


def test_teachers_that_are_not_the_official_ones_are_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = shutil.copytree(tmp_path / "runs", tmp_path / "official")
    monkeypatch.setattr("kdbench.review.submitting.official_folder", lambda: official)
    assert judged(submitted(file), "failed") == {}
    folder = records_of(file, role="teacher")[0]
    record = read_record(folder)
    digests = record.digests.model_copy(update={"weights": "0" * 64})
    seal_record(folder, record.model_copy(update={"digests": digests}))
    (words,) = judged(submitted(file), "failed").values()
    assert words.startswith("1 were trained anew; first: teacher ")
    assert "`kdbench results copy`" in words


def test_the_name_of_a_shipped_method_is_refused(file: Path) -> None:
    lm = file.rename(file.with_name("lm.py"))
    lm.write_text(METHOD.replace('"mine"', '"lm"'))
    with pytest.raises(SubmissionError, match="both have the name 'lm'"):
        submitted(lm)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: text.replace('licence = "MIT"', 'licence = ""'), "key licence has the value ''"),
        (lambda text: text.replace('"mine"', '"../mine"', 1), "key method has the value '../mine'"),
        (lambda text: text.replace("code =", "cod ="), "unknown key cod"),
        (lambda text: text.replace('"MIT"', '"a\\u0007b"'), "control characters"),
        (lambda text: "= " + text, "is not TOML"),
    ],
    ids=["empty", "path", "key", "characters", "no-toml"],
)
def test_a_card_that_somebody_changed_is_refused(
    file: Path, tmp_path: Path, change: Callable[[str], str], match: str
) -> None:
    submitted(file)
    path = tmp_path / RECORDS / CARD
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=match):
        read_card(tmp_path / RECORDS)


def test_scores_are_those_of_the_full_records(file: Path, tmp_path: Path) -> None:
    submitted(file)
    full = rescored(tmp_path / "runs", "mine", read_method_file(file), SPEC)
    assert scores_text(full) == (tmp_path / RECORDS / SCORES_FILE).read_text()
