"""The matrix of runs: teachers before students, each run once, with an id of all that decides its weights."""

import pytest

from kdbench.errors import InputError
from kdbench.plan.matrix import Submission
from kdbench.plan.overrides import with_overrides
from tests.planned_runs import INDEPENDENT, TRACK, expanded, submission


def test_one_seed_of_two_methods_is_four_teachers_and_six_students() -> None:
    runs = expanded()
    assert [run.role for run in runs] == ["teacher"] * 4 + ["student"] * 6
    assert {(run.family, run.teacher_bias) for run in runs[:4]} == {
        (f, b) for f in ("cnn", "vit") for b in ("shape", "texture")
    }
    assert sum(run.submission.name == "independent" for run in runs) == 2


def test_every_student_has_a_teacher_of_the_other_family_and_the_same_seed() -> None:
    for run in expanded(seeds=(0, 1)):
        if run.submission.name == "lm":
            assert run.teacher is not None
            assert (run.teacher.family, run.teacher.seed) == ("vit" if run.family == "cnn" else "cnn", run.seed)


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


def test_a_run_that_trains_longer_or_has_a_teacher_costs_more() -> None:
    alone, *taught = expanded(directions=("cnn-to-vit",))[2:]
    assert all(run.cost > alone.cost for run in taught)
    longer, _ = with_overrides(TRACK, epochs=20)
    assert all(run.cost > alone.cost for run in expanded(INDEPENDENT, track=longer) if run.family == alone.family)
