"""A new kind of test set is one class and one line: nothing else has to know of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kdbench.data.array_types import Images
from kdbench.errors import SpecError
from kdbench.leaderboard.stimuli import caption_of, set_words
from kdbench.plan.overrides import with_overrides
from kdbench.resources import shipped
from kdbench.spec import SPEC_PATH, Data, TestSet, Track
from kdbench.spec.parameters import Parameter, Parameters
from kdbench.testsets import kinds
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.contact_sheet import gallery
from kdbench.testsets.diagnostics import evaluated_sets
from kdbench.testsets.kinds.kind import RENDERING, Kind, variant
from kdbench.testsets.plans import ChunkPlan, Workshop
from kdbench.testsets.spec import load_spec

ADDED = """
[[tracks.synthetic.test_sets]]
name = "texture-negative"
axis = "texture"
images = 1000
parameters = { rendering = "negative", white = 255 }
"""


class Negative(Kind):
    """Photographic negatives."""

    axes = ("texture",)
    rendering = "negative"

    def parameters(self, data: Data) -> Parameters:
        return {"rendering": RENDERING, "white": Parameter(int, least=200, most=255)}

    def plan(self, test_set: TestSet, workshop: Workshop) -> ChunkPlan:
        keywords = {"white": test_set.parameters["white"]}
        arrays = (workshop.clean.images,)
        return ChunkPlan(answers=workshop.clean.answers(), function=negatives, arrays=arrays, keywords=keywords)

    def caption(self, test_set: TestSet) -> str:
        return "Every colour is replaced by its opposite."

    def variants(self, primary: TestSet, track: Track) -> Iterator[TestSet]:
        yield variant(primary, "darker", white=220)


def negatives(images: Images, *, white: int) -> Images:
    """Return the images with every level replaced by its distance from white, at least 0."""
    return np.clip(white - images.astype(np.int32), 0, 255).astype(np.uint8)


@pytest.fixture
def track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Track:
    """The synthetic track of a spec with a set of the new kind."""
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, Negative()))
    path = tmp_path / "spec.toml"
    path.write_text(shipped(*SPEC_PATH).read_text() + ADDED)
    return load_spec(path).track("synthetic")


def test_a_spec_with_a_set_of_it_is_checked(track: Track, tmp_path: Path) -> None:
    assert track.test_sets[-1].name == "texture-negative"
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(shipped(*SPEC_PATH).read_text() + ADDED.replace("255", "20"))
    with pytest.raises(SpecError, match=r"tracks.synthetic: .*texture-negative: key white has the value 20; allowed"):
        load_spec(wrong)


def test_its_sets_and_their_variants_are_built_and_opened(track: Track, tmp_path: Path) -> None:
    sets = [test_set.name for test_set in evaluated_sets(track, diagnostics=True)]
    assert sets[-1] == "texture-negative-darker"
    arrays = build_test_sets(with_overrides(track, limit_test=20)[0], tmp_path / "store", source=None, diagnostics=True)
    assert list(arrays) == sets
    negative = arrays["texture-negative"]
    np.testing.assert_array_equal(255 - negative.images, arrays["clean"].images)
    np.testing.assert_array_equal(negative.targets, arrays["clean"].targets)
    np.testing.assert_array_equal(arrays["texture-negative-darker"].images.max(), 220 - arrays["clean"].images.min())


def test_it_is_evaluated_shown_and_described(track: Track, tmp_path: Path) -> None:
    from kdbench.evaluation.answers import logits_of
    from kdbench.networks.backbone import Backbone, create_model

    arrays = build_test_sets(with_overrides(track, limit_test=20)[0], tmp_path / "store", source=None)
    model = create_model("resnet18", {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, num_classes=10)
    negative, test_set = arrays["texture-negative"], track.test_sets[-1]
    logits = logits_of(Backbone(model, "cnn").eval(), negative.images, track.data, torch.device("cpu"))
    assert logits.shape == (20, 10)
    assert len(gallery(arrays)["texture-negative"]) == 10
    assert set_words(test_set.name, test_set, track.data) == "Texture (negative)"
    assert caption_of(test_set, track.data) == "Every colour is replaced by its opposite."


def test_kinds_load_without_torch() -> None:
    script = (
        "import sys; from kdbench.testsets.spec import load_spec; load_spec();"
        "sys.exit(', '.join({'torch', 'scipy', 'skimage'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
