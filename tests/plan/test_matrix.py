"""The matrix of runs: teachers before students, each run once, with an id of all that decides its weights."""

from dataclasses import replace

import pytest

from kdbench.errors import InputError
from kdbench.plan.matrix import NUMERICS_VERSION, PlannedRun, Submission
from kdbench.plan.overrides import with_overrides
from kdbench.records.identity import identity_of
from kdbench.spec import QUESTIONS, Track
from tests.examples import DIGESTS, a_record
from tests.planned_runs import INDEPENDENT, TRACK, expanded, submission


def lm_of(runs: list[PlannedRun]) -> list[PlannedRun]:
    return [run for run in runs if run.submission.name == "lm"]


def test_the_architecture_question_swaps_natural_teachers_of_both_families() -> None:
    runs = expanded()
    assert [run.role for run in runs] == ["teacher"] * 2 + ["student"] * 6
    assert {run.kind for run in runs[:2]} == {("cnn", "natural"), ("vit", "natural")}
    assert sum(run.submission.name == "independent" for run in runs) == 2
    assert {run.direction for run in lm_of(runs)} == {"cnn-to-vit", "vit-to-vit", "vit-to-cnn", "cnn-to-cnn"}


def test_the_planted_question_swaps_two_teachers_of_the_other_family() -> None:
    runs = expanded(questions=("planted",))
    assert [run.role for run in runs] == ["teacher"] * 4 + ["student"] * 6
    assert {run.kind for run in runs[:4]} == {(f, b) for f in ("cnn", "vit") for b in ("shape", "texture")}
    assert {run.direction for run in lm_of(runs)} == {"cnn-to-vit", "vit-to-cnn"}


def test_both_questions_share_the_independents_and_no_teacher() -> None:
    both = [run.run_id for run in expanded(questions=("architecture", "planted"))]
    apart = [[run.run_id for run in expanded(questions=(question,))] for question in QUESTIONS]
    assert len(both) == 6 + 10
    assert set(both) == set(apart[0]) | set(apart[1])
    assert len(set(apart[0]) & set(apart[1])) == 2


def test_a_student_is_taught_in_its_direction_by_a_teacher_of_its_seed() -> None:
    for run in lm_of(expanded(seeds=(0, 1), questions=("architecture", "planted"))):
        assert run.teacher is not None
        assert run.direction == f"{run.teacher.family}-to-{run.family}"
        assert (run.teacher.seed, run.teacher.teacher_bias, run.teacher.dose) == (run.seed, run.teacher_bias, run.dose)


def test_planted_runs_have_the_doses_of_their_seed_and_natural_ones_none() -> None:
    assert TRACK.planted is not None
    for run in expanded(seeds=(0, 6), questions=("architecture", "planted")):
        shape, texture = TRACK.planted.of_seed(run.seed)
        assert run.dose == {"shape": shape, "texture": texture}.get(run.teacher_bias or "")


def test_a_dose_is_part_of_the_run_id() -> None:
    assert TRACK.planted is not None
    shape, texture = TRACK.planted.of_seed(0)
    pair = (shape, texture / 2 + 0.01)
    other = TRACK.model_copy(update={"planted": TRACK.planted.model_copy(update={"doses": (pair,)})})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Track, "training_digest", property(lambda track: "t" * 64))
        plans = [expanded(track=track, questions=QUESTIONS) for track in (TRACK, other)]
        ids = [{run.title: run.run_id for run in runs} for runs in plans]
    changed = {title for title, run_id in ids[0].items() if ids[1][title] != run_id}
    assert changed == {title for title in ids[0] if "texture" in title}


def test_a_method_without_the_students_own_family_has_the_other_teacher_alone() -> None:
    capd = replace(submission("capd"), beyond_paper=())
    assert {run.direction for run in expanded(capd) if run.role == "student"} == {"cnn-to-vit", "vit-to-cnn"}


def test_a_method_also_trains_across_families_where_it_is_beyond_its_paper() -> None:
    within = replace(submission("at"), directions=("cnn-to-cnn",), beyond_paper=("cnn-to-vit", "vit-to-vit"))
    assert {run.direction for run in expanded(within) if run.role == "student"} == {"cnn-to-vit", "vit-to-vit"}


def test_records_follow_from_runs_with_their_question_and_ids() -> None:
    for run in expanded(questions=QUESTIONS):
        record = a_record(
            run_id=run.run_id,
            role=run.role,
            family=run.family,
            direction=run.direction,
            teacher_bias=run.teacher_bias,
            dose=run.dose,
            method=run.submission.name,
            config={},
            teacher_run_id=run.teacher.run_id if run.teacher else None,
            numerics=NUMERICS_VERSION,
            digests=DIGESTS.model_copy(update={"training": TRACK.training_digest, "code": run.submission.code}),
        )
        assert identity_of(record).run_id == run.run_id
        assert record.question == {None: None, "natural": "architecture"}.get(run.teacher_bias, "planted")


def test_ids_are_unique_and_repeat() -> None:
    ids = [run.run_id for run in expanded(seeds=(0, 1, 2))]
    assert len(set(ids)) == len(ids)
    assert ids == [run.run_id for run in expanded(seeds=(0, 1, 2))]


def test_a_run_id_changes_with_what_decides_the_weights_not_with_other_methods() -> None:
    def lm_ids(*methods: Submission, **rest: object) -> list[str]:
        return [run.run_id for run in expanded(*methods, **rest) if run.submission.name == "lm"]  # type: ignore[arg-type]

    base = lm_ids(submission("lm"))
    assert base == lm_ids(submission("lm"), submission("crd"))
    assert not set(base) & set(lm_ids(submission("lm", code="d")))
    assert not set(base) & set(lm_ids(submission("lm", config={"temperature": 2.0})))
    shorter, _ = with_overrides(TRACK, epochs=1)
    assert not set(base) & set(lm_ids(submission("lm"), track=shorter))


def test_a_direction_that_no_method_supports_is_refused() -> None:
    only = Submission("cskd", None, "c", {}, uses_teacher=True, directions=("cnn-to-vit",))
    with pytest.raises(InputError, match="'cskd' supports the direction cnn-to-vit, not vit-to-cnn"):
        expanded(only, directions=("vit-to-cnn",))


def test_a_compiled_run_is_another_run_and_plain_ones_keep_their_ids() -> None:
    plain, compiled = expanded(), expanded(compiled=True)
    assert not {run.run_id for run in plain} & {run.run_id for run in compiled}
    assert all(run.compiled for run in compiled)
    assert not any(run.compiled for run in plain)


def test_a_method_that_shows_each_image_four_times_costs_more_to_train() -> None:
    plain, more = (expanded(replace(submission("lm"), views=views))[-1] for views in (1.0, 4.0))
    assert more.seen_images == 4 * plain.seen_images
    assert more.cost > 2 * plain.cost
    assert more.run_id == plain.run_id


def test_a_run_that_trains_longer_or_has_a_teacher_costs_more() -> None:
    alone, *taught = expanded(directions=("cnn-to-vit",))[2:]
    assert all(run.cost > alone.cost for run in taught)
    longer, _ = with_overrides(TRACK, epochs=20)
    assert all(run.cost > alone.cost for run in expanded(INDEPENDENT, track=longer) if run.family == alone.family)
