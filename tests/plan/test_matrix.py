import pytest

from kdbench.errors import InputError
from kdbench.plan.matrix import Submission, parse_seeds, with_overrides
from tests.planned_runs import TRACK, plan, submission


def test_one_seed_of_two_methods_is_four_teachers_and_six_students() -> None:
    runs = plan()
    assert [run.role for run in runs] == ["teacher"] * 4 + ["student"] * 6
    assert {(run.family, run.teacher_bias) for run in runs[:4]} == {
        (f, b) for f in ("cnn", "vit") for b in ("shape", "texture")
    }
    assert sum(run.submission.name == "independent" for run in runs) == 2


def test_every_student_has_a_teacher_of_the_other_family_and_the_same_seed() -> None:
    for run in plan(seeds=(0, 1)):
        if run.submission.name == "lm":
            assert run.teacher is not None
            assert (run.teacher.family, run.teacher.seed) == ("vit" if run.family == "cnn" else "cnn", run.seed)


def test_ids_are_unique_and_repeat() -> None:
    ids = [run.run_id for run in plan(seeds=(0, 1, 2))]
    assert len(set(ids)) == len(ids)
    assert ids == [run.run_id for run in plan(seeds=(0, 1, 2))]


def test_a_run_id_changes_with_what_decides_the_weights_not_with_other_methods() -> None:
    def lm_ids(*methods: Submission, **rest: object) -> list[str]:
        return [run.run_id for run in plan(*methods, **rest) if run.submission.name == "lm"]  # type: ignore[arg-type]

    base = lm_ids(submission("lm"))
    assert base == lm_ids(submission("lm"), submission("crd"))
    assert not set(base) & set(lm_ids(submission("lm", code="d")))
    assert not set(base) & set(lm_ids(submission("lm", config={"temperature": 2.0})))
    shorter, _ = with_overrides(TRACK, epochs=1, limit_test=None, limit_train=None)
    assert not set(base) & set(lm_ids(submission("lm"), track=shorter))


def test_a_direction_that_no_method_supports_is_refused() -> None:
    only = Submission("cskd", None, "c", {}, uses_teacher=True, directions=("cnn-to-vit",))
    with pytest.raises(InputError, match="'cskd' supports the direction cnn-to-vit, not vit-to-cnn"):
        plan(only, directions=("vit-to-cnn",))


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("0,3", (0, 3)), ("2-4", (2, 3, 4)), ("0-1,1", (0, 1))])
def test_seeds_are_read(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1,,2", "-1", "5-", "0,4-2", "0-1-2"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a list of seeds"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["0-1000", "0-499,500-1000", f"0-{10**30}"])
def test_more_than_a_thousand_seeds_are_refused(text: str) -> None:
    assert len(parse_seeds("0-999")) == 1000
    with pytest.raises(InputError, match="more than 1,000 seeds"):
        parse_seeds(text)


def test_overrides_make_a_run_unofficial_and_say_which() -> None:
    track, reasons = with_overrides(TRACK, epochs=1, limit_test=100, limit_train=200)
    assert reasons == ("--epochs 1", "--limit-test 100", "--limit-train 200")
    assert track.training_digest != TRACK.training_digest
    assert track.testsets_digest != TRACK.testsets_digest
    assert max(test_set.images for test_set in track.test_sets) == 100
    assert with_overrides(TRACK, epochs=None, limit_test=None, limit_train=None) == (TRACK, ())
