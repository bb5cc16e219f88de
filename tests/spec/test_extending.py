"""A track may take over what another one gives; `synthetic-long` is `synthetic` with ten times the images."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH, Spec
from kdbench.testsets.frozen import manifest_path, read_manifest
from kdbench.testsets.spec import load_spec

SHORT, LONG = (load_spec().track(name) for name in ("synthetic", "synthetic-long"))


def edited(edit: Callable[[dict[str, Any]], object]) -> Spec:
    """Return the shipped spec after a change of its raw tracks."""
    raw = tomllib.loads(shipped(*SPEC_PATH).read_text())
    edit(raw["tracks"])
    return Spec.model_validate(raw)


def test_the_long_track_differs_from_the_short_one_in_its_images_alone() -> None:
    differing = {"name", "summary", "data"}
    assert LONG.model_dump(exclude=differing) == SHORT.model_dump(exclude=differing)
    assert LONG.data == SHORT.data.model_copy(update={"num_train": 30_000})
    assert LONG.training_digest != SHORT.training_digest
    assert load_spec().scoring_digest("synthetic-long") == load_spec().scoring_digest("synthetic")


def test_the_long_track_has_as_many_updates_as_its_summary_says() -> None:
    updates = LONG.data.num_train // LONG.training.batch_size * LONG.training.student_epochs
    assert f"({updates:,})" in LONG.summary


def test_the_frozen_test_sets_of_both_tracks_are_the_same_arrays() -> None:
    rows = read_manifest(manifest_path(SHORT))
    by_track = {
        track.name: {(row.set, row.sha256, row.images) for row in rows if row.track == track.name}
        for track in (SHORT, LONG)
    }
    assert len(by_track["synthetic"]) == 22
    assert by_track["synthetic"] == by_track["synthetic-long"]


def test_a_change_of_the_base_reaches_the_track_that_extends_it() -> None:
    after = edited(lambda tracks: tracks["synthetic"]["training"].update(student_epochs=4)).track("synthetic-long")
    assert after.training.student_epochs == 4
    assert after.data.num_train == 30_000


def test_a_list_replaces_that_of_the_base() -> None:
    after = edited(lambda tracks: tracks["synthetic-long"].update(directions=["vit-to-cnn"]))
    assert after.track("synthetic-long").directions == ("vit-to-cnn",)
    assert after.track("synthetic").directions == ("cnn-to-vit", "vit-to-cnn")


@pytest.mark.parametrize("base", ["synthetik", "synthetic-long", "another", 3, []])
def test_a_track_that_extends_no_whole_track_is_refused(base: object) -> None:
    def edit(tracks: dict[str, Any]) -> None:
        tracks["another"] = {"extends": "synthetic"}
        tracks["synthetic-long"]["extends"] = base

    possible = "give a track that extends no other: synthetic, cifar10-32, cifar10-224"
    with pytest.raises(ValidationError, match=rf"tracks.synthetic-long.extends is .*{possible}"):
        edited(edit)


def test_an_unknown_key_of_a_track_that_extends_another_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"synthetic-long\.data\.images"):
        edited(lambda tracks: tracks["synthetic-long"]["data"].update(images=3))
