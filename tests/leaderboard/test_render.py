"""The page as a reader and a browser get it."""

import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kdbench.errors import WriteError
from kdbench.leaderboard.method_cards import shipped_cards
from kdbench.leaderboard.publish import publish
from kdbench.leaderboard.render import render_site
from kdbench.methods.files import read_method_file, submission_path
from kdbench.records import PREDICTIONS, Record, read_predictions, read_record, write_record
from kdbench.records.storage import record_digest
from kdbench.records.verification import TOLERANCES, Verification, differences_of, write_verification
from kdbench.scoring.board import score
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.scores import Scores, Superseded
from kdbench.testsets.gallery import Gallery
from kdbench.testsets.spec import load_spec
from kdbench.timing.step_times import Timings, read_timings
from tests.leaderboard import examples
from tests.leaderboard.page import Page, boards_text, pages_in
from tests.record_factory import write_matrix
from tests.timing.timing_files import entry, timing_file

HOSTILE = "<script>alert('τ')</script>"


def render(
    scores: Scores,
    out: Path,
    *,
    records: Sequence[Record] | None = None,
    gallery: dict[str, Gallery] | None = None,
    timings: Timings | None = None,
) -> Page:
    known = examples.records_of(scores) if records is None else records
    path = render_site(scores, known, out, spec=load_spec(), gallery=gallery, timings=timings)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    render(examples.full_scores(), folder, gallery=examples.a_gallery())
    return folder


@pytest.fixture(scope="module")
def full(site: Path) -> Page:
    return Page((site / "index.html").read_text(encoding="utf-8"))


PAPERS = {card.link for card in shipped_cards().values()}
PLANTED = 2  # number of the planted board with every kind of row on the full page


def tbody_of(page: Page, method: str, board: int = 1) -> str:
    """The text of a method's lines on the board of a number."""
    section = page.source.split('<section class="board')[board]
    bodies: list[str] = re.findall(r'<tbody id="[^"]*" class="method.*?</tbody>', section, re.DOTALL)
    body = next(body for body in bodies if re.search(rf'<span class="name">(<a [^>]*>)?{method}<', body))
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", body).split()))


def test_pages_are_well_formed_files_in_their_folders(tmp_path: Path) -> None:
    scores = examples.full_scores()
    path = render_site(scores, examples.records_of(scores), tmp_path / "site", spec=load_spec(), gallery=None)
    assert path == tmp_path / "site" / "index.html"
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["boards", "controls", "data", "index.html", "methods"]
    assert Page(path.read_text(encoding="utf-8")).source.lstrip().startswith("<!DOCTYPE html>")


def test_page_loads_nothing_from_anywhere(full: Page) -> None:
    loaded = [
        attributes.get(name) or ""
        for tag, attributes in full.tags
        for name in ("src", "srcset", "href", "xlink:href", "data", "poster")
        if name in attributes and tag != "a"
    ]
    assert loaded
    assert all(address.startswith(("data:", "#")) for address in loaded)
    assert not re.search(r"@import|url\(\s*['\"]?(?!data:)|\bfetch\(|XMLHttpRequest|\bimport\(", full.source)


def test_links_have_a_target(full: Page, site: Path) -> None:
    targets = {attributes["id"] for _, attributes in full.tags if "id" in attributes}
    links = [attributes["href"] or "" for tag, attributes in full.tags if tag == "a"]
    labels = [attributes["aria-labelledby"] for _, attributes in full.tags if "aria-labelledby" in attributes]
    within = [link for link in links if link.startswith("#")]
    assert all(link[1:] in targets for link in within)
    files = {link for link in links if link not in PAPERS and not link.startswith("#")}
    assert all((site / link).is_file() for link in files)
    assert set(labels) <= targets


def test_ids_are_unique(full: Page) -> None:
    ids = [attributes["id"] for _, attributes in full.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_pictures_and_charts_have_a_text_alternative(full: Page) -> None:
    assert all(attributes.get("alt") for tag, attributes in full.tags if tag == "img")
    charts = [attributes for tag, attributes in full.tags if tag == "svg" and attributes.get("role") == "img"]
    assert charts
    assert all(attributes.get("aria-label") for attributes in charts)


def test_tables_are_semantic_and_laid_out_for_every_width(full: Page, site: Path) -> None:
    assert full.source.count("<table") == full.source.count("<caption") > 0
    assert all("scope" in attributes for tag, attributes in full.tags if tag == "th")
    pages = (full, *pages_in(site / "boards").values(), *pages_in(site / "methods").values())
    tables = {attributes.get("class") for page in pages for tag, attributes in page.tags if tag == "table"}
    layouts = {"matrix", "board-table", "networks", "plain", "conflict"}
    assert {str(names).split()[0] for names in tables} == layouts


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    scores, gallery = examples.full_scores(), examples.a_gallery()
    records = examples.records_of(scores)
    first = render(scores, tmp_path / "a", records=records, gallery=gallery).source
    assert render(scores, tmp_path / "b", records=records[::-1], gallery=gallery).source == first


def test_hostile_names_and_reasons_are_escaped(tmp_path: Path) -> None:
    scores = examples.scores_of(examples.board("cnn-to-vit", examples.row_of_text(HOSTILE), track=HOSTILE))
    records = [
        record.model_copy(
            update={
                "status": "error",
                "reason": HOSTILE,
                "execution": HOSTILE,
                "environment": record.environment.model_copy(update={"command": HOSTILE}),
                "curves": ({HOSTILE: 1.0},),
            }
        )
        for record in examples.records_of(scores)
    ]
    pictures = examples.a_gallery()["synthetic"]
    gallery = {HOSTILE: Gallery({HOSTILE: pictures.sets["clean"]}, (HOSTILE,) * 10)}
    page = render(scores, tmp_path, records=records, gallery=gallery)
    others = [page for folder in ("boards", "methods", "controls") for page in pages_in(tmp_path / folder).values()]
    for shown in (page, *others):
        assert [tag for tag, _ in shown.tags].count("script") == 1
        assert HOSTILE not in shown.source
        assert HOSTILE in shown.text


def test_methods_come_first_then_independent_then_controls(full: Page) -> None:
    board = full.source.split('<section class="board')[PLANTED]
    table = board[: board.index("</table>")]
    names = re.findall(r'<span class="name"><a [^>]*>(.*?)</a></span>', table)
    methods = ["crd", "cskd", "lm", "sskd", "tuned"]
    assert names == [*methods, "independent", "random-teacher", "probe-one-bit"]


def test_teachers_and_independent_stand_above_the_students(site: Path) -> None:
    board = pages_in(site / "boards")["synthetic-planted-cnn-to-vit"].source
    table = board[board.index('<table class="networks">') :]
    names = re.findall(r'<span class="name">(.*?)</span>', table[: table.index("</table>")])
    assert names[:3] == ["teacher (CNN)", "independent (ViT)", "crd"]


def test_numbers_come_with_interval_and_sample_size(full: Page, site: Path) -> None:
    assert "0.61 [0.56, 0.66]" in tbody_of(full, "crd", PLANTED)
    assert "−0.020 [−0.090, 0.050]" in tbody_of(full, "cskd", PLANTED)
    assert "Clean accuracy 1,000 images" in full.text
    assert "Scramble 3,000 images" in full.text
    numbers = "crd settings temperature 0.07 0.61 [0.56, 0.66] 3 seeds transfers p < 0.001"
    assert numbers in tbody_of(full, "crd", PLANTED)
    assert "from texture teacher: +1.0 [−2.0, +4.0] 1.40×" in tbody_of(full, "crd", PLANTED)
    assert "crd from shape teacher 3 seeds 0.96 [0.95, 0.97]" in boards_text(site)


def test_a_number_of_another_sample_than_its_column_says_so(tmp_path: Path) -> None:
    few = examples.method_row("few", "vit", examples.estimate(0.2, images=500, seeds=2))
    rest = examples.method_row("lm", "vit", examples.estimate(0.4))
    page = render(examples.scores_of(examples.board("cnn-to-vit", few, rest)), tmp_path)
    assert "0.20 [0.17, 0.23] 500 images 2 seeds , images only" in tbody_of(page, "few")
    assert "0.40 [0.37, 0.43] 1,000 images 3 seeds" in tbody_of(page, "lm")


def test_undefined_numbers_show_their_reason(full: Page) -> None:
    assert "undefined no seed has both students" in tbody_of(full, "sskd", PLANTED)
    assert "No τ on noise: one teacher's clean accuracy is at chance" in tbody_of(full, "lm", PLANTED)


def test_a_reason_that_all_axes_share_is_said_once(tmp_path: Path) -> None:
    row = examples.method_row("lm", "vit", Undefined(reason="no transfer"), transfer_by_axis={})
    why = Undefined(reason="too near chance")
    arms = []
    for arm in row.arms:
        assert arm.profile is not None
        axes = {axis: scored.model_copy(update={"bias": why}) for axis, scored in arm.profile.axes.items()}
        arms.append(arm.model_copy(update={"profile": arm.profile.model_copy(update={"axes": axes})}))
    changed = row.model_copy(update={"arms": tuple(arms)})
    text = tbody_of(render(examples.scores_of(examples.board("cnn-to-vit", changed)), tmp_path), "lm")
    assert text.count("too near chance") == 1
    assert "Axes undefined: too near chance" in text
    assert text.count("undefined") == 2  # transfer and the note


def test_unofficial_rows_are_marked_and_never_ranked(tmp_path: Path) -> None:
    row = examples.method_row("tuned", "vit", examples.estimate(0.7), unofficial=("--epochs 9",), rank=1)
    text = tbody_of(render(examples.scores_of(examples.board("cnn-to-vit", row)), tmp_path), "tuned")
    assert text.startswith("– tuned unofficial")
    assert "Unofficial, never ranked: --epochs 9" in text


def test_rows_of_compiled_runs_say_so(tmp_path: Path) -> None:
    rows = [examples.method_row("lm", "vit", examples.estimate(0.4), compiled=compiled) for compiled in (False, True)]
    page = render(examples.scores_of(examples.board("cnn-to-vit", *rows)), tmp_path)
    assert tbody_of(page, "lm").startswith("– lm ")
    assert tbody_of(page, "lm, compiled").startswith("– lm, compiled ")


def test_ranks_and_the_reason_for_none_are_shown(full: Page) -> None:
    assert tbody_of(full, "crd", PLANTED).startswith("1 crd")
    assert tbody_of(full, "cskd", PLANTED).startswith("2 2–3 cskd")
    assert "adjusted for 2 tests" in full.text
    assert "Unranked: 3 of 5 seeds; 5 are needed for a rank" in tbody_of(full, "lm", PLANTED)


def test_controls_are_shown_with_what_those_reach_that_should_score_nothing(full: Page) -> None:
    controls = re.findall(r'<tbody id="[^"]*" class="control">.*?</tbody>', full.source, re.DOTALL)
    assert len(controls) == 5
    assert "from random ViT teacher" in controls[0]
    assert "from random shape teacher" in controls[3]
    assert "trained teacher’s answers to single images are in the range [−0.030, 0.050]" in full.text
    assert "what controls without a trained teacher’s answers to single images reach" in full.text


def test_a_page_without_null_controls_explains_no_band(tmp_path: Path) -> None:
    page = render(examples.scores_of(examples.natural()), tmp_path)
    assert "hollow: fewer than 3 seeds" in page.text
    assert "trained teacher’s answers to single images reach" not in page.text


def explanations_of(site: Path, board: str) -> str:
    """Return the text of the tables that explain the transfers of a board."""
    section = pages_in(site / "boards")[board].source
    table = section[section.index('--explanations">Numbers') :]
    return html.unescape(" ".join(re.sub("<[^>]*>", " ", table[: table.index("</details>")]).split()))


def test_what_explains_transfer_is_in_tables_of_its_own(site: Path) -> None:
    text = explanations_of(site, "synthetic-planted-cnn-to-vit")
    assert "Distance to the teacher closed, %" in text
    assert "Same answers, manipulated" in text
    assert "crd from shape teacher 3 seeds 0.01 [−0.02, 0.04] 40 [37, 43]" in text
    assert text.count("[0.57, 0.65]") == 1
    assert text.index("How similar a student is to its teacher") > text.index("Direction (cosine)")
    assert "accuracy matched" not in text


def test_a_missing_number_of_these_tables_is_explained_once(site: Path) -> None:
    text = explanations_of(site, "synthetic-planted-vit-to-cnn")
    assert text.count("3 seeds are needed, the row has 1") == 1
    titles = "Distance to the teacher closed, %, Way to the teacher (transfer index), Movement aside (drift)"
    assert f"Undefined: {titles}, Direction (cosine): 3 seeds are needed, the row has 1" in text


def test_a_collapse_on_a_manipulated_set_is_shown(tmp_path: Path) -> None:
    row = examples.method_row("lm", "vit", examples.estimate(0.4))
    collapsed = (("noise", "texture", "locality"), ("texture",))
    arms = tuple(
        arm.model_copy(update={"diagnostics": examples.diagnostics(collapsed=names)})
        for arm, names in zip(row.arms, collapsed, strict=True)
    )
    scores = examples.scores_of(examples.board("cnn-to-vit", row.model_copy(update={"arms": arms})))
    text = tbody_of(render(scores, tmp_path), "lm")
    assert "The students nearly always give the same few answers on noise, locality (from shape teacher)" in text
    assert "The students nearly always give the same few answers on texture" in text


def test_failed_runs_are_visible_with_their_reason(full: Page) -> None:
    text = tbody_of(full, "sskd", PLANTED)
    assert text.count("failed seed 1: diverged: loss is not a number at step 88") == 1
    assert "2 of 151 runs failed" in full.text
    assert "sskd synthetic CNN → ViT shape 1 diverged loss is not a number at step 88" in full.text


def test_with_one_seed_the_board_says_what_intervals_leave_out(full: Page) -> None:
    second = full.text[full.text.index("ViT → CNN A ViT teaches a CNN") :]
    assert "intervals cover the choice of test images, but not that of random seeds (1 seed so far)" in second
    assert "Unranked: needs 3 seeds" in second
    assert "hollow: fewer than 3 seeds; another seed may lie outside" in full.text


def test_other_settings_than_those_of_the_spec_are_shown(tmp_path: Path) -> None:
    scores = examples.scores_of(examples.board("cnn-to-vit", training_digest="0" * 64))
    assert "The training settings differ from this spec’s track" in render(scores, tmp_path).text


def test_board_says_from_which_pretrained_weights_its_seeds_start(full: Page) -> None:
    count = len(load_spec().track("synthetic").backbones.cnn.pretrained)
    assert full.text.count(f"Seed k starts from pair k modulo {count} of the pretrained backbones, so intervals") == 2
    assert full.text.count("All seeds of this board start from one pair of pretrained backbones") == 1


def test_headline_question_is_introduced_first_and_has_the_first_board(full: Page) -> None:
    alpha = full.text.index("Transfer, α, is the share of the difference between the two teachers")
    tau = full.text.index("Transfer, τ, is the same share as α")
    assert alpha < tau < full.text.index("Architecture: CNN → ViT Each method trains a ViT twice")
    assert full.text.index("Architecture: CNN → ViT") < full.text.index("Planted cues: CNN → ViT A CNN teaches a ViT.")


def test_words_of_a_row_are_explained_and_stand_on_its_board(full: Page) -> None:
    for words in ("overshoot", "a trace", "none shown", "none larger than 0.05", "moved away"):
        assert full.source.count(f">{words}</span>") == 2
    assert "none larger than 0.05 moved away p = 1.000" in tbody_of(full, "vlfkd")


def test_a_control_that_is_not_proportional_says_so_without_a_rank(full: Page) -> None:
    probe = full.source[full.source.index(">probe-one-bit</a></span>") :]
    assert ">not proportional</span>" in probe[: probe.index("</tbody>")]


def test_intervals_that_cover_images_only_are_hollow(full: Page) -> None:
    overview = full.source[: full.source.index('id="reading-title"')]
    marks = re.findall(r'<span class="dot( hollow)?" style="left:([\d.]+)%', overview)
    legends = [mark for mark in marks if mark == (" hollow", "50")]
    assert len(legends) == 1
    assert len([mark for mark in marks if mark[0]]) == len(legends) + 1  # the only row of a single seed


def test_natural_teachers_stand_with_their_gate(full: Page) -> None:
    assert "Clean accuracy 0.960 [0.948, 0.972] for the CNN teacher (5 seeds, 1,000 images)" in full.text
    assert "They differ by 0.010, which is within the 0.05 that a rank allows." in full.text


def test_a_method_without_alpha_is_shown_with_its_transfer_index(full: Page) -> None:
    assert "No α for capd: it reads the attention of its teacher, so it has no other student." in full.text
    assert "The band, [−0.080, 0.110], is the range of the transfer indices of lm-shuffled and label-smoo" in full.text


def test_unofficial_row_without_alpha_says_why_on_its_board(tmp_path: Path) -> None:
    row = examples.one_family_row("capd", "vit").model_copy(update={"unofficial": ("--epochs 1",)})
    board = examples.board("cnn-to-vit", row, seeds=5, question="architecture")
    text = tbody_of(render(examples.scores_of(board), tmp_path), "capd")
    assert "undefined it reads the attention of its teacher" in text


def test_long_settings_are_folded(tmp_path: Path) -> None:
    config = {f"weight_of_term_{number}": 0.5 for number in range(9)}
    row = examples.method_row("long", "vit", examples.estimate(0.4), config=config)
    page = render(examples.scores_of(examples.board("cnn-to-vit", row)), tmp_path)
    assert page.source.count('<details class="settings">') == 1
    assert "settings weight_" in tbody_of(page, "long")


def test_directions_beyond_the_paper_are_marked(full: Page) -> None:
    assert "from ViT teacher: beyond the paper" in tbody_of(full, "crd")
    assert "beyond the paper" not in tbody_of(full, "lm")


def test_methods_are_introduced_once_with_what_they_show_to_their_networks(full: Page) -> None:
    methods = full.text[full.text.index("Who the methods are") :]
    assert methods.count("Images: both networks see each image upright and rotated.") == 1
    assert "beyond the paper student ViT from ViT teacher" in methods
    assert "This method is not shipped with the benchmark, or its code was changed." in methods


def test_a_shipped_method_has_its_full_name_and_its_paper(tmp_path: Path) -> None:
    code = read_method_file(submission_path("lm")).code
    row = examples.method_row("lm", "vit", examples.estimate(0.4), code=code)
    page = render(examples.scores_of(examples.board("cnn-to-vit", row)), tmp_path)
    assert "lm Logit matching" in tbody_of(page, "lm")
    assert "Hinton, Vinyals & Dean (2015), arXiv:1503.02531" in page.text
    assert ("a", {"href": "https://arxiv.org/abs/1503.02531", "rel": "noreferrer"}) in page.tags


def test_page_without_runs_says_how_to_make_some(tmp_path: Path) -> None:
    assert "There are no scored runs yet" in render(examples.scores_of(), tmp_path, records=[]).text


def test_real_images_have_a_board_of_alpha(tmp_path: Path) -> None:
    page = render(examples.scores_of(examples.natural()), tmp_path)
    text = tbody_of(page, "lm")
    assert "1 lm settings temperature 4.0, distill_ weight 0.9 0.22 [0.18, 0.26]" in text
    assert "not measured" in boards_text(tmp_path)
    assert "α transfer" in page.text
    assert "α architecture CNN → ViT" in page.text.replace("architectureCNN", "architecture CNN")


def test_a_transfer_that_is_undefined_says_why(tmp_path: Path) -> None:
    why = Undefined(reason="the two teachers do not differ")
    row: dict[str, Any] = {"transfer_by_axis": {}, "rank": None, "rank_high": None, "unranked": "needs 5 seeds"}
    board = examples.natural(**row)
    methods = tuple(part.model_copy(update={"transfer": why}) if part.kind == "method" else part for part in board.rows)
    page = render(examples.scores_of(board.model_copy(update={"rows": methods})), tmp_path)
    assert "undefined the two teachers do not differ" in tbody_of(page, "lm")
    assert "Unranked: needs 5 seeds" in tbody_of(page, "lm")
    assert "No α for lm: the two teachers do not differ." in page.text


def test_scores_without_records_still_render(tmp_path: Path) -> None:
    page = render(examples.full_scores(), tmp_path, records=[])
    assert "crd" in page.text
    assert "Training curves" not in page.text


def test_provenance_names_machine_versions_and_command(site: Path) -> None:
    text = boards_text(site)
    assert "kdbench run --seeds 0-2" in text
    assert "Python 3.11.7, torch 2.6.0, timm 1.0.15, numpy 2.0.0" in text
    assert load_spec().tracks["synthetic"].training_digest in text


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        (
            "namespaces+read-only+landlock+privileges+seccomp+limits",
            "namespaces, read-only, landlock, privileges, seccomp, limits Commit",
        ),
        (
            "landlock+privileges+seccomp+limits",
            "landlock, privileges, seccomp, limits; this machine lacks namespaces, read-only Commit",
        ),
        ("none", "none; the code of the methods could reach all that the user can Commit"),
        (None, "1 thread per run Commit"),
    ],
)
def test_provenance_says_what_confined_the_trainings(noted: str | None, words: str, tmp_path: Path) -> None:
    scores = examples.full_scores()
    records = [
        record.model_copy(update={"environment": record.environment.model_copy(update={"sandbox": noted})})
        for record in examples.records_of(scores)
    ]
    render(scores, tmp_path, records=records)
    assert words in boards_text(tmp_path)


def test_provenance_says_how_captured_runs_ran(tmp_path: Path) -> None:
    scores = examples.full_scores()
    records = [record.model_copy(update={"execution": "captured"}) for record in examples.records_of(scores)]
    render(scores, tmp_path / "captured", records=records)
    render(scores, tmp_path / "eager", records=examples.records_of(scores))
    assert "ok steps captured" in boards_text(tmp_path / "captured")
    assert "steps eager" not in boards_text(tmp_path / "eager")


def test_provenance_says_what_was_not_scored(tmp_path: Path) -> None:
    old = Superseded(
        track="synthetic", device_class="cpu-float32", reason="the harness has changed", records=("a", "b")
    )
    scores = examples.full_scores().model_copy(update={"superseded": (old,)})
    render(scores, tmp_path)
    assert "2 older records were not scored: the harness has changed" in boards_text(tmp_path)


def test_costs_come_with_their_sample(site: Path) -> None:
    text = boards_text(site)
    assert "lm from shape teacher 3 runs, 9 epochs 12.2 8.4 to 9.2 36.4 s 1.40× 9,000 9,000 2.1 s" in text
    assert "on the same GPU" not in text


def test_times_of_runs_that_shared_a_gpu_are_marked(tmp_path: Path) -> None:
    shared = examples.full_scores().model_dump_json().replace('"beside":0', '"beside":3')
    render(Scores.model_validate_json(shared), tmp_path)
    assert "1.40× with up to 3 other jobs on the same GPU" in boards_text(tmp_path)


def test_gallery_shows_every_set_with_a_caption(full: Page) -> None:
    pictures = [attributes for tag, attributes in full.tags if tag == "img"]
    assert len(pictures) == len(examples.a_gallery()["synthetic"].sets)
    assert all((attributes["src"] or "").startswith("data:image/png;base64,") for attributes in pictures)
    assert "Scramble 4×4 The image is cut into 4×4 tiles" in full.text


def test_papers_tables_are_shown_as_published_with_the_reason_why_unranked(full: Page) -> None:
    assert "lm 0.3674 0.1759 0.4124 0.2519 0.6631" in full.text
    assert "crd 0.717 0.679 0.665 0.586 0.724" in full.text
    assert "SSKD 3595.2" in full.text
    assert "not ranked here" in full.text


def test_timing_suite_gives_ratios_to_independent(tmp_path: Path) -> None:
    timing = timing_file(tmp_path / "timing.json", entry("lm", 0.3), entry("independent", 0.2), cpu="Some CPU")
    page = render(examples.full_scores(), tmp_path, timings=read_timings(timing))
    assert "lm synthetic, cnn-to-vit, cpu 300 ms 270 ms to 330 ms 15 1.50× 1.30 to 1.73" in page.text
    assert "Machine: Some CPU, 2 cores." in page.text
    assert "36.4 s 1.40× 9,000 9,000 2.1 s" in boards_text(
        tmp_path
    )  # the cost of a row has one ratio, that of its runs


def test_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "site"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(WriteError, match="site"):
        render(examples.full_scores(), blocked)


def test_refused_records_are_named_with_their_reason(tmp_path: Path) -> None:
    folder = write_matrix(tmp_path / "runs", directions=("cnn-to-vit",), images=50)[-1]
    (folder / PREDICTIONS).write_bytes(b"PK")
    published = publish([tmp_path / "runs"], tmp_path / "site")
    (refused,) = published.scores.refused
    assert refused.record == folder.name
    text = published.page.read_text()
    assert "Records that were refused" in text
    assert f'<th scope="row">{folder.name}</th>' in text
    assert "predictions.npz was changed after its record was written" in text


def test_a_record_of_an_earlier_version_is_named_with_what_to_do(tmp_path: Path) -> None:
    folder = write_matrix(tmp_path / "runs", directions=("cnn-to-vit",), images=50)[-1]
    record = read_record(folder)
    environment = record.environment.model_copy(update={"kdbench": "1.0.0rc1"})
    write_record(folder, record.model_copy(update={"environment": environment}), read_predictions(folder))
    published = publish([tmp_path / "runs"], tmp_path / "site")
    assert [refused.record for refused in published.scores.refused] == [folder.name]
    text = published.page.read_text()
    assert "it was made with version 1.0.0rc1 of the benchmark" in text
    assert "run it again, or score it with the release of its version" in text


def test_own_records_stand_beside_those_of_another_folder(tmp_path: Path) -> None:
    for name, method in (("official", "lm"), ("mine", "crd")):
        write_matrix(tmp_path / name, methods=(method,), directions=("cnn-to-vit",), images=50)
    published = publish([tmp_path / "mine", tmp_path / "official"], tmp_path / "site")
    assert {row.method for row in published.scores.boards[0].rows if row.kind == "method"} == {"lm", "crd"}
    assert not published.scores.contradicting
    assert (tmp_path / "mine" / "scores.json").exists()
    assert not (tmp_path / "official" / "scores.json").exists()


def test_records_of_one_run_that_differ_are_named_on_the_page(tmp_path: Path) -> None:
    for name in ("mine", "official"):
        folders = write_matrix(tmp_path / name, directions=("cnn-to-vit",), images=50)
    record = read_record(folders[-1])
    digests = record.digests.model_copy(update={"weights": "0" * 64})
    write_record(folders[-1], record.model_copy(update={"digests": digests}), read_predictions(folders[-1]))
    published = publish([tmp_path / "mine", tmp_path / "official"], tmp_path / "site")
    assert published.scores.boards == score(tmp_path / "mine", load_spec()).boards
    (contradicting,) = published.scores.contradicting
    assert f"{folders[-1] / 'result.json'} are records of one run with different weights" in contradicting.reason
    assert "are records of one run with different weights; the first one counts" in published.page.read_text()


def test_a_verified_run_has_a_badge_and_others_have_none(tmp_path: Path) -> None:
    folder = write_matrix(tmp_path / "runs", directions=("cnn-to-vit",), images=50)[-1]
    publish([tmp_path / "runs"], tmp_path / "before")
    record = read_record(folder)
    answers = read_predictions(folder)
    verification = Verification(
        of=record_digest(record),
        by=HOSTILE,
        when="2026-01-02T00:00:00+00:00",
        how="retrained",
        machine=record.environment,
        verdict="equal",
        tolerance=TOLERANCES["retrained"],
        differences=differences_of(record, answers, answers),
    )
    write_verification(folder, verification)
    publish([tmp_path / "runs"], tmp_path / "after")
    (after,) = pages_in(tmp_path / "after" / "boards").values()
    assert "verified: " not in boards_text(tmp_path / "before")
    assert after.source.count("verified: equal when retrained by") == 1
    assert HOSTILE not in after.source
