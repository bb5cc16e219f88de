"""Options that change a track make its runs unofficial, and say so."""

from pathlib import Path

import pytest

from kdbench.errors import InputError
from kdbench.plan.options import RunOptions
from kdbench.plan.overrides import track_as_run, with_overrides
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH
from kdbench.testsets.spec import load_spec
from tests.planned_runs import TRACK


def test_overrides_make_a_run_unofficial_and_say_which() -> None:
    track, reasons = with_overrides(TRACK, epochs=1, limit_test=100, limit_train=200)
    assert reasons == ("--epochs 1", "--limit-test 100", "--limit-train 200")
    assert track.training_digest != TRACK.training_digest
    assert track.testsets_digest != TRACK.testsets_digest
    assert max(test_set.images for test_set in track.test_sets) == 100
    assert with_overrides(TRACK) == (TRACK, ())


@pytest.mark.parametrize("option", ["limit_test", "limit_train"])
def test_a_limit_below_the_number_of_classes_is_refused(option: str) -> None:
    flag = f"--{option.replace('_', '-')}"
    with pytest.raises(InputError, match=f"{flag} 9 leaves a class without any image; give at least 10"):
        with_overrides(TRACK, **{option: 9})  # type: ignore[arg-type]


def test_another_style_is_an_override_of_the_stylised_set_alone(tmp_path: Path) -> None:
    track = load_spec().track("cifar10-224")
    styled, reasons = with_overrides(track, style=tmp_path / "mine.png")
    assert reasons == ("--style mine.png",)
    changed = [new.name for new, old in zip(styled.test_sets, track.test_sets, strict=True) if new != old]
    assert changed == ["stylized"]
    assert styled.training_digest == track.training_digest


def test_another_spec_file_is_a_reason_even_where_it_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(shipped(*SPEC_PATH).read_bytes())
    track, reasons = track_as_run(RunOptions("synthetic", spec=tmp_path / "mine.toml", epochs=1))
    assert reasons == ("--epochs 1", "--spec mine.toml")
    assert track.training.student_epochs == 1


def test_runs_without_the_sandbox_are_unofficial() -> None:
    assert track_as_run(RunOptions("synthetic", sandbox=False)) == (TRACK, ("--sandbox off",))
    assert track_as_run(RunOptions("synthetic")) == (TRACK, ())
