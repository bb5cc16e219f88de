"""The profile of a network: known answers on own images, the numbers of boards, and what is refused in a sentence."""

import doctest
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

import kdbench
from kdbench.errors import InputError
from kdbench.networks.given import NetworkInput
from kdbench.profiling import profiling
from kdbench.profiling.network_profile import NetworkProfile
from kdbench.resources import CACHE_VARIABLE
from kdbench.scoring.estimates import Estimate, Score, Undefined
from kdbench.spec import BIAS_AXES
from tests.data.own_folders import write_images
from tests.profiling.brightness import Brightness

GREY_IS_0 = NetworkInput(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of the tests of this file."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _with_cache(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(cache))


def test_the_example_in_the_docstring_is_true() -> None:
    outcome = doctest.testmod(profiling)
    assert (outcome.attempted, outcome.failed) == (3, 0)


def value(score: Score) -> float:
    assert isinstance(score, Estimate), score
    return score.value


def bias(profile: NetworkProfile) -> dict[str, float]:
    return {axis: value(profile.profile.axes[axis].bias) for axis in BIAS_AXES}


def test_a_network_of_brightness_has_the_biases_that_follow_from_it(tmp_path: Path) -> None:
    images = write_images(tmp_path / "own", 20, masks=tmp_path / "masks")
    profile = kdbench.profile(Brightness(), track="cifar10-32", data=images, masks=tmp_path / "masks", inputs=GREY_IS_0)
    assert value(profile.profile.clean) == 1
    assert bias(profile) == pytest.approx({"texture": 1, "shape": 0, "locality": 1, "scramble": 1, "noise": 1})
    conflict = profile.profile.conflict
    assert conflict
    assert (value(conflict.shape), value(conflict.texture), value(profile.swing)) == (0, 1, -1)
    assert "Shape is measured on" not in str(profile)


def test_without_masks_only_the_axes_that_need_none_are_measured(tmp_path: Path) -> None:
    profile = kdbench.profile(
        Brightness(), track="cifar10-32", data=write_images(tmp_path / "own"), inputs=GREY_IS_0, name="brightness"
    )
    axes = profile.profile.axes
    assert [axis for axis in BIAS_AXES if isinstance(axes[axis].bias, Undefined)] == ["texture", "shape"]
    assert isinstance(profile.swing, Undefined)
    text = str(profile)
    assert text.startswith(f"brightness, {tmp_path / 'own'} at 32 x 32 pixels\nClean accuracy: 1.00 [0.91, 1.00] on 40")
    assert "No c on texture, shape: it needs the objects' masks; give their folder with `masks` (--masks)." in text
    assert "have passed no study of validity" in text


def test_images_with_and_without_masks_have_sets_of_their_own(tmp_path: Path) -> None:
    images = write_images(tmp_path / "own", 10, masks=tmp_path / "masks")
    settings = {"track": "cifar10-32", "data": images, "inputs": GREY_IS_0}
    without = kdbench.profile(Brightness(), **settings)  # type: ignore[arg-type]
    (tmp_path / "masks" / "dark" / "003.png").unlink()
    partial = kdbench.profile(Brightness(), masks=tmp_path / "masks", **settings)  # type: ignore[arg-type]
    assert partial.profile.clean == without.profile.clean
    assert "Shape is measured on the 19 of 20 images that have a mask." in partial.notes


def test_an_imagenet_network_profiles_folders_of_wordnet_ids_at_224_pixels(tmp_path: Path) -> None:
    images = write_images(tmp_path / "val", 4, size=(240, 230), suffix=".JPEG")
    (images / "bright").rename(images / "n01440764")
    (images / "dark").rename(images / "n02124075")
    network = timm.create_model("test_resnet")
    profile = kdbench.profile(network, data=tmp_path)
    assert (profile.classes, profile.expected.image_size) == (2, 160)
    assert profile.expected.origin == "as timm names them for it"
    assert f"{tmp_path / 'val'} at 224 x 224 pixels" in str(profile)
    assert value(profile.profile.axes["scramble"].accuracy) >= 0


class Modes(nn.Module):
    """A network whose parts are in different modes; it knows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm2d(3).eval()
        self.live = nn.BatchNorm2d(3).train()

    def forward(self, images: Tensor) -> Tensor:
        return self.live(self.frozen(images)).mean(dim=(2, 3)).repeat(1, 4)[:, :10]  # type: ignore[no-any-return]


def test_a_network_is_as_it_was_afterwards() -> None:
    network = Modes()
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    kdbench.profile(network, limit_test=20)
    assert (network.training, network.live.training, network.frozen.training) == (True, True, False)
    assert all(torch.equal(state[key], tensor) for key, tensor in network.state_dict().items())


def test_near_chance_there_is_no_bias_and_the_text_says_so() -> None:
    profile = kdbench.profile(timm.create_model("test_resnet", num_classes=10), inputs="track", limit_test=20)
    assert all(isinstance(profile.profile.axes[axis].bias, Undefined) for axis in BIAS_AXES)
    assert "No c on texture, shape, locality, scramble, noise: too near chance: the clean accuracy is" in str(profile)
    assert profile.images == "track synthetic"


def test_the_value_goes_through_json_and_its_text_fits_on_a_screen() -> None:
    profile = kdbench.profile(Modes(), limit_test=20)
    assert NetworkProfile.model_validate_json(profile.model_dump_json()) == profile
    lines = str(profile).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"track": "imagenet"}, "unknown track 'imagenet'"),
        ({"masks": "masks"}, "masks are for one's own images"),
        ({"track": "synthetic", "data": "."}, "track synthetic draws its own images"),
        ({"inputs": "model"}, "timm names no images for Modes"),
        ({"inputs": "imagenet"}, "`inputs` is 'imagenet'; give"),
        ({"classes": [0, 1]}, "one entry for each of the 10 classes: disk, square"),
        ({"classes": {"disk": 0, "cat": 1}}, "have the unknown class 'cat'"),
        ({"results": "nowhere"}, "nowhere"),
    ],
    ids=lambda case: "-".join(case) if isinstance(case, dict) else "",
)
def test_a_wrong_argument_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        kdbench.profile(Modes(), limit_test=20, **arguments)  # type: ignore[arg-type]


def test_the_order_of_outputs_is_that_of_the_given_classes(tmp_path: Path) -> None:
    settings = {"track": "cifar10-32", "data": write_images(tmp_path / "own", 10), "inputs": GREY_IS_0}
    right = kdbench.profile(Brightness(), classes={"dark": 1, "bright": [0]}, **settings)  # type: ignore[arg-type]
    wrong = kdbench.profile(Brightness(), classes=[1, 0], **settings)  # type: ignore[arg-type]
    assert (value(right.profile.clean), value(wrong.profile.clean)) == (1, 0)
    assert np.isclose(value(right.profile.axes["scramble"].ratio), 1)
