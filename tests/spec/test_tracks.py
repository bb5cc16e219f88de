"""The spec is frozen, validated, and split into parts with a digest each."""

import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from kdbench.errors import InputError
from kdbench.resources import shipped
from kdbench.spec import BIAS_AXES, FAMILIES, SPEC_PATH, Spec
from kdbench.testsets.spec import load_spec
from tests import pins

Edit = Callable[[dict[str, Any]], object]
SHIPPED = shipped(*SPEC_PATH).read_text()


def edited(edit: Edit) -> Spec:
    """The shipped spec after a change of its raw values."""
    raw = tomllib.loads(SHIPPED)
    edit(raw)
    return Spec.model_validate(raw)


def test_the_shipped_digests_are_pinned() -> None:
    """A track is frozen: a change here is a new version of the benchmark, told in CHANGELOG.md."""
    assert pins.current_pins()["tracks"] == pins.pinned()["tracks"]


@pytest.mark.parametrize("name", ["synthetic", "synthetic-long", "cifar10-32", "cifar10-32-jpeg", "cifar10-224"])
def test_a_track_runs_both_directions_and_covers_every_axis(name: str) -> None:
    track = load_spec().track(name)
    assert track.directions == ("cnn-to-vit", "vit-to-cnn")
    assert all(track.primary_sets(axis) for axis in ("clean", *BIAS_AXES))


def test_a_track_knows_its_name() -> None:
    assert all(track.name == name for name, track in load_spec().tracks.items())


def test_every_seed_has_a_pair_of_doses_that_are_a_half_apart() -> None:
    tracks = load_spec().tracks
    planted = tracks["synthetic"].planted
    assert planted is not None
    assert all((track.planted is None) == (track.data.source == "cifar10") for track in tracks.values())
    for seed in (*range(5), 1000):
        assert planted.dose("shape", seed) - planted.dose("texture", seed) >= 0.5 - 1e-9
        assert planted.of_seed(seed) == planted.of_seed(seed + 5)
        assert planted.of_seed(seed) == (planted.dose("shape", seed), planted.dose("texture", seed))


def test_the_doses_favour_no_cue_and_vary_contrast_apart_from_midpoint() -> None:
    planted = load_spec().track("synthetic").planted
    assert planted is not None
    assert len(set(planted.doses)) == 5
    assert {(round(1 - b, 2), round(1 - a, 2)) for a, b in planted.doses} == set(planted.doses)
    assert all(0 < b < a < 1 for a, b in planted.doses)
    contrasts, midpoints = [a - b for a, b in planted.doses], [(a + b) / 2 for a, b in planted.doses]
    assert len({round(contrast, 2) for contrast in contrasts[:3]}) == 3
    assert abs(np.corrcoef(contrasts, midpoints)[0, 1]) < 1e-9
    assert max(midpoints) - min(midpoints) > 0.3


def test_a_seed_starts_from_the_pretrained_file_of_its_number() -> None:
    for backbone in (load_spec().track("synthetic").backbones[family] for family in FAMILIES):
        count = len(backbone.pretrained)
        assert count > 1
        for seed in range(2 * count):
            assert backbone.pretrained_for(seed) == backbone.pretrained[seed % count]


def test_a_diagnostic_set_does_not_count_for_its_axis() -> None:
    track = load_spec().track("synthetic")
    assert "texture-field" in {test_set.name for test_set in track.test_sets}
    assert [test_set.name for test_set in track.primary_sets("texture")] == ["texture"]


@pytest.mark.parametrize(
    ("edit", "moved"),
    [
        (lambda raw: raw["tracks"]["synthetic"]["training"].update(student_epochs=4), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["backbones"]["cnn"].update(learning_rate=1e-4), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["augmentation"].update(flip=True), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["planted"].update(doses=[[1.0, 0.0]]), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["backbones"]["vit"]["pretrained"].reverse(), "training"),
        (lambda raw: raw["tracks"]["synthetic"]["test_sets"][3]["parameters"].update(segments=32), "testsets"),
        (lambda raw: raw["scoring"].update(ranked_seeds=7), "scoring"),
        (lambda raw: raw["tracks"]["synthetic"]["scoring"].update(teacher_margin=0.2), "scoring"),
        (lambda raw: raw["tracks"]["cifar10-32"]["scoring"].update(teacher_margin=0.2), ""),
        (lambda raw: raw["tracks"]["synthetic"].update(summary="Other words."), ""),
    ],
    ids=[
        *("epochs", "learning rate", "flip", "dose", "order of pretrained files"),
        *("segments", "ranked seeds", "teacher margin", "margin of another track", "summary"),
    ],
)
def test_a_change_moves_the_digest_of_its_part_alone(edit: Edit, moved: str) -> None:
    before, after = load_spec(), edited(edit)
    changed = {
        "training": before.track("synthetic").training_digest != after.track("synthetic").training_digest,
        "testsets": before.track("synthetic").testsets_digest != after.track("synthetic").testsets_digest,
        "scoring": before.scoring_digest("synthetic") != after.scoring_digest("synthetic"),
    }
    assert [part for part, differs in changed.items() if differs] == ([moved] if moved else [])
    assert before.track("cifar10-32").training_digest == after.track("cifar10-32").training_digest


def test_a_change_of_the_data_moves_training_and_test_sets() -> None:
    before = load_spec().track("synthetic")
    after = edited(lambda raw: raw["tracks"]["synthetic"]["data"]["look"].update(contrast=30)).track("synthetic")
    assert before.training_digest != after.training_digest
    assert before.testsets_digest != after.testsets_digest


def test_the_masks_move_the_test_sets_and_no_weight() -> None:
    before = load_spec().track("cifar10-32")
    after = edited(lambda raw: raw["tracks"]["cifar10-32"]["data"].update(masks_sha256="0" * 64)).track("cifar10-32")
    assert before.training_digest == after.training_digest
    assert before.testsets_digest != after.testsets_digest


def test_each_copy_of_cifar10_has_boards_of_its_own() -> None:
    original, jpeg = (load_spec().track(name) for name in ("cifar10-32", "cifar10-32-jpeg"))
    assert original.training_digest != jpeg.training_digest
    assert original.testsets_digest != jpeg.testsets_digest
    assert original.test_sets == jpeg.test_sets


def test_generated_images_have_neither_a_copy_nor_masks() -> None:
    for key in ("jpeg_sha256", "masks_sha256"):
        with pytest.raises(ValidationError, match="neither `jpeg_sha256` nor `masks_sha256`"):
            edited(lambda raw, key=key: raw["tracks"]["synthetic"]["data"].update({key: "0" * 64}))  # type: ignore[misc]


def test_an_unknown_track_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="synthetic, synthetic-long, cifar10-32, cifar10-32-jpeg, cifar10-224"):
        load_spec().track("synthetik")


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_spec().scoring.confidence = 0.5  # type: ignore[misc]


def test_images_are_stored_at_their_own_size_and_seen_at_the_tracks() -> None:
    tracks = load_spec().tracks
    assert {name: (track.data.stored_size, track.data.image_size) for name, track in tracks.items()} == {
        "synthetic": (32, 32),
        "synthetic-long": (32, 32),
        "cifar10-32": (32, 32),
        "cifar10-32-jpeg": (32, 32),
        "cifar10-224": (32, 224),
    }


def test_how_images_are_resized_moves_both_digests_of_the_track_alone() -> None:
    before = load_spec()
    after = edited(lambda raw: raw["tracks"]["cifar10-224"]["data"]["resize"].update(antialias=True))
    for name in before.tracks:
        unchanged = name != "cifar10-224"
        assert (before.track(name).training_digest == after.track(name).training_digest) is unchanged
        assert (before.track(name).testsets_digest == after.track(name).testsets_digest) is unchanged


def test_parameters_in_bfloat16_move_the_training_digest_of_the_track_alone() -> None:
    before = load_spec()
    after = edited(lambda raw: raw["tracks"]["cifar10-224"]["training"].update(cuda_parameters="bfloat16"))
    assert after.track("cifar10-224").training.parameters_on("cuda") == "bfloat16"
    assert {track.training.parameters_on("cuda") for track in before.tracks.values()} == {"float32"}
    for name in before.tracks:
        unchanged = name != "cifar10-224"
        assert (before.track(name).training_digest == after.track(name).training_digest) is unchanged
    stated = edited(lambda raw: raw["tracks"]["cifar10-224"]["training"].update(cuda_parameters="float32"))
    assert before.track("cifar10-224").training_digest == stated.track("cifar10-224").training_digest


def test_parameters_coarser_than_the_forward_passes_are_refused() -> None:
    with pytest.raises(ValidationError, match="cpu_parameters is 'bfloat16', but cpu_precision is 'float32'"):
        edited(lambda raw: raw["tracks"]["synthetic"]["training"].update(cpu_parameters="bfloat16"))


def test_where_networks_are_compiled_moves_no_digest() -> None:
    before = load_spec()
    after = edited(lambda raw: raw["tracks"]["synthetic"].update(compile_on=["cpu", "cuda"]))
    tracks = before.track("synthetic"), after.track("synthetic")
    assert len({track.training_digest for track in tracks}) == 1
    assert len({track.testsets_digest for track in tracks}) == 1
