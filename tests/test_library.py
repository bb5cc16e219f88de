"""The library for people: what `import kdbench` offers, at what cost, and that its examples are true."""

import doctest
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

import kdbench
from kdbench import library
from kdbench.errors import InputError
from kdbench.plan.options import RunOptions
from kdbench.records import frames as record_frames
from kdbench.scoring import frames as score_frames
from kdbench.scoring.board import score, write_scores
from kdbench.spec import QUESTIONS
from kdbench.testsets.spec import load_spec
from tests.record_factory import write_matrix


def test_importing_kdbench_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, kdbench; dir(kdbench); sys.exit(any(name in sys.modules for name in ('torch', 'pandas')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_name_of_the_library_is_there_and_documented() -> None:
    for name in kdbench.__all__:
        offered = getattr(kdbench, name)
        assert name == "__version__" or inspect.getdoc(offered)
    assert issubclass(kdbench.Method, object)
    assert kdbench.load_results is record_frames.load_results


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(kdbench.__file__).parent / "py.typed").is_file()
    hints = [inspect.signature(getattr(kdbench, name)) for name in ("run", "score", "profile")]
    parameters = [parameter for hint in hints for parameter in hint.parameters.values()]
    assert all(parameter.annotation is not parameter.empty for parameter in parameters)


def test_an_unknown_name_is_refused_with_those_that_are_offered() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_result'; it offers Method, __version__, load_results"):
        _ = getattr(kdbench, "load_" + "result")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs`, which has scored records of both questions."""
    folder = tmp_path_factory.mktemp("project")
    for question in QUESTIONS:
        write_matrix(folder / "runs", directions=("cnn-to-vit",), seeds=range(3), spread=0.01, question=question)
    write_scores(score(folder / "runs", load_spec()), folder / "runs" / score_frames.SCORES_FILE)
    return folder


@pytest.mark.parametrize("module", [library, record_frames, score_frames])
def test_the_examples_in_the_docstrings_are_true(
    module: ModuleType, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    outcome = doctest.testmod(module)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize(
    ("function", "columns"),
    [
        (kdbench.load_results, record_frames.RESULT_COLUMNS),
        (kdbench.load_scores, score_frames.SCORE_COLUMNS),
    ],
)
def test_every_column_of_a_data_frame_is_documented(function: object, columns: tuple[str, ...]) -> None:
    text = inspect.getdoc(function) or ""
    assert [name for name in columns if f"`{name}`" not in text] == []


def test_run_takes_what_the_command_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[RunOptions] = []
    monkeypatch.setattr("kdbench.jobs.invocation.run", lambda options, console: given.append(options))
    write_matrix(tmp_path, directions=("cnn-to-vit",))
    settings = {"lm": {"temperature": 2, "centred": True}}
    results = kdbench.run(["lm", tmp_path / "mine.py"], out=tmp_path, seeds=range(3), configs=settings)
    assert given[0].seeds == "0,1,2"
    assert given[0].methods == ("lm", str(tmp_path / "mine.py"))
    assert given[0].configs == ("lm.temperature=2", "lm.centred=true")
    assert set(results.method) == {"teacher", "independent", "lm"}


def test_run_refuses_a_wrong_argument(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown track 'imagenet'"):
        kdbench.run(["lm"], out=tmp_path, track="imagenet")


def test_score_returns_what_it_writes(tmp_path: Path) -> None:
    write_matrix(tmp_path, directions=("cnn-to-vit",))
    scores = kdbench.score(tmp_path)
    pd.testing.assert_frame_equal(scores, kdbench.load_scores(tmp_path))


def test_score_warns_of_a_record_that_is_refused(tmp_path: Path) -> None:
    folders = write_matrix(tmp_path, directions=("cnn-to-vit",))
    (folders[-1] / "result.json").write_text("{}")
    with pytest.warns(UserWarning, match=f"refused {folders[-1].name}"):
        assert len(kdbench.score(tmp_path))


def test_score_refuses_a_folder_without_records(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no records"):
        kdbench.score(tmp_path)
