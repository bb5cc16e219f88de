"""The spec is frozen, validated, and split into parts with a digest each."""

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from kdbench.errors import InputError
from kdbench.resources import shipped
from kdbench.spec import BIAS_AXES, SPEC_PATH, Spec
from kdbench.testsets.spec import load_spec

Edit = Callable[[dict[str, Any]], object]
SHIPPED = shipped(*SPEC_PATH).read_text()
PINNED = {
    "synthetic": ("121b7f44bd635546", "52b67082761b25ff", "8db44baa55b192fa"),
    "cifar10-32": ("a5bf8ae032f0b0bf", "a1c64afab0d1894a", "e79e1f553927ca1d"),
    "cifar10-224": ("ea4fc6d48294c2d1", "cd5cfc089b9557bc", "e79e1f553927ca1d"),
}  # training, test sets, scoring


def edited(edit: Edit) -> Spec:
    """The shipped spec after a change of its raw values."""
    raw = tomllib.loads(SHIPPED)
    edit(raw)
    return Spec.model_validate(raw)


def test_the_shipped_digests_are_pinned() -> None:
    """A track is frozen: a change here is a new version of the benchmark, told in CHANGELOG.md."""
    spec = load_spec()
    digests = {
        name: tuple(value[:16] for value in (track.training_digest, track.testsets_digest, spec.scoring_digest(name)))
        for name, track in spec.tracks.items()
    }
    assert digests == PINNED


@pytest.mark.parametrize("name", ["synthetic", "cifar10-32", "cifar10-224"])
def test_a_track_runs_both_directions_and_covers_every_axis(name: str) -> None:
    track = load_spec().track(name)
    assert track.directions == ("cnn-to-vit", "vit-to-cnn")
    assert all(track.primary_sets(axis) for axis in ("clean", *BIAS_AXES))


def test_a_track_knows_its_name() -> None:
    assert {name: track.name for name, track in load_spec().tracks.items()} == {name: name for name in PINNED}


def test_every_seed_has_a_pair_of_doses_and_none_needs_to_be_the_extremes() -> None:
    planted = load_spec().track("synthetic").planted
    assert planted is not None
    pairs = [planted.of_seed(seed) for seed in range(len(planted.doses))]
    assert planted.of_seed(len(pairs)) == pairs[0]
    assert (1.0, 0.0) not in pairs
    doses = [dose for pair in pairs for dose in pair]
    assert (min(doses), max(doses)) == (0.0, 1.0)


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
        (lambda raw: raw["tracks"]["synthetic"]["test_sets"][3]["parameters"].update(segments=32), "testsets"),
        (lambda raw: raw["scoring"].update(ranked_seeds=7), "scoring"),
        (lambda raw: raw["tracks"]["synthetic"]["scoring"].update(teacher_margin=0.2), "scoring"),
        (lambda raw: raw["tracks"]["cifar10-32"]["scoring"].update(live_axes={"cnn-to-vit": ["noise"]}), ""),
        (lambda raw: raw["tracks"]["synthetic"].update(summary="Other words."), ""),
    ],
    ids=[
        "epochs",
        "learning rate",
        "flip",
        "doses",
        "segments",
        "ranked seeds",
        "teacher margin",
        "live axes",
        "summary",
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


def test_an_unknown_track_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="synthetic, cifar10-32, cifar10-224"):
        load_spec().track("synthetik")


def test_a_spec_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_spec().scoring.confidence = 0.5  # type: ignore[misc]


def test_images_are_stored_at_their_own_size_and_seen_at_the_tracks() -> None:
    tracks = load_spec().tracks
    assert {name: (track.data.stored_size, track.data.image_size) for name, track in tracks.items()} == {
        "synthetic": (32, 32),
        "cifar10-32": (32, 32),
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
