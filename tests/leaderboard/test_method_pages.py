"""The page of each method."""

from pathlib import Path

import numpy as np
import pytest

from kdbench.leaderboard.anchors import file_stem
from kdbench.leaderboard.provenance import record_key
from kdbench.leaderboard.render import render_site
from kdbench.methods.files import read_method_file, submission_path
from kdbench.scoring.scores import Scores
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples
from tests.leaderboard.page import Page, pages_in

LM = read_method_file(submission_path("lm")).code


def site_of(scores: Scores, out: Path, curve: dict[str, float] | None = None) -> Path:
    records = examples.records_of(scores)
    if curve:
        records = [record.model_copy(update={"curves": (curve, curve)}) for record in records]
    answers = {record_key(record): {"clean": np.eye(10, dtype=np.int64)} for record in records}
    render_site(scores, records, out, spec=load_spec(), gallery=examples.a_gallery(), answers=answers)
    return out


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shipped = examples.method_row("lm", "vit", examples.estimate(0.4), code=LM)
    old = examples.method_row("lm", "vit", examples.estimate(0.2), code="0" * 64, config={"temperature": 1.0})
    boards = (
        examples.architecture_board(),
        examples.board("cnn-to-vit", shipped, old, examples.control_row("random-teacher", "vit", examples.estimate(0))),
    )
    curve = {"train_accuracy": 0.5, "kd": 1.0, "kd_weighted": 0.9, "gradient_norm_kd": 0.02, "seconds": 3.0}
    return site_of(examples.scores_of(*boards), tmp_path_factory.mktemp("site"), curve)


@pytest.fixture(scope="module")
def lm(site: Path) -> Page:
    return pages_in(site / "methods")["lm"]


def test_every_method_and_control_has_a_page(site: Path) -> None:
    assert set(pages_in(site / "methods")) == {"lm", "crd", "sskd", "cskd", "vlfkd", "capd"}
    assert {"independent", "random-teacher", "label-smoothing"} <= set(pages_in(site / "controls"))


def test_a_page_says_who_the_method_is_and_shows_its_source(lm: Page) -> None:
    assert "Hinton, Vinyals & Dean (2015)" in lm.text
    assert "def kd_loss( student_logits" in lm.text.replace("kd_loss(student", "kd_loss( student")
    assert '<span class="k">def</span>' in lm.source


def test_a_page_has_the_rows_of_its_method_only(lm: Page) -> None:
    assert "crd" not in lm.text
    assert "0.220 [" in lm.text or "0.22 [0.20, 0.24]" in lm.text
    assert "0.40 [0.37, 0.43]" in lm.text
    assert "lm from CNN teacher, 5 runs" in lm.text  # of the confusion matrices


def test_terms_of_the_loss_and_norms_of_gradients_have_curves(lm: Page) -> None:
    for quantity in ("train accuracy", "kd", "kd weighted", "gradient norm kd"):
        assert f"<figcaption>{quantity}</figcaption>" in lm.source
    assert "<figcaption>seconds</figcaption>" not in lm.source


def test_a_page_says_how_to_run_its_rows_again(lm: Page) -> None:
    command = "kdbench run --track synthetic --methods lm --questions planted --directions cnn-to-vit --seeds 0-2"
    assert command in lm.text
    assert "--methods path/to/lm.py" in lm.text  # of the row whose code is not the shipped one


def test_versions_of_the_code_are_listed_with_their_runs(lm: Page) -> None:
    versions = lm.text[lm.text.index("Versions of the code") :]
    assert f"{LM[:16]} shipped with this kdbench 6 2026-01-01 2026-01-01" in versions
    assert f"{'0' * 16} another file or version 6" in versions


def test_links_and_ids_of_a_page_are_in_order(lm: Page, site: Path) -> None:
    ids = [attributes["id"] for _, attributes in lm.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for tag, attributes in lm.tags if tag == "a"]
    assert all(link[1:] in ids for link in links if link.startswith("#"))
    within = [link.partition("#") for link in links if link.startswith("../")]
    assert within
    main = (site / "index.html").read_text(encoding="utf-8")
    for path, _, anchor in within:
        assert (site / "methods" / path).is_file()
        assert not (path.endswith("index.html") and anchor) or f'id="{anchor}"' in main


def test_same_arguments_give_the_same_pages(site: Path, tmp_path: Path) -> None:
    scores = examples.scores_of(examples.natural())
    first, second = (pages_in(site_of(scores, tmp_path / name) / "methods") for name in ("first", "second"))
    assert {name: page.source for name, page in first.items()} == {name: page.source for name, page in second.items()}


@pytest.mark.parametrize("name", ["lm", "my_method", "lm-w10-t4"])
def test_a_plain_name_is_the_name_of_its_file(name: str) -> None:
    assert file_stem(name) == name


def test_names_that_a_file_system_could_confuse_have_different_files() -> None:
    names = ["lm", "LM", "l/m", "../lm", "l m", "", ".", "-lm"]
    stems = [file_stem(name) for name in names]
    assert len({stem.lower() for stem in stems}) == len(names)
    assert all(stem.replace("-", "").isalnum() for stem in stems)
