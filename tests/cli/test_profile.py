"""`kdbench profile`: what it prints, as text and as JSON, and what it refuses in one sentence with exit code 2."""

import json
from pathlib import Path

import pytest
import timm
import torch

from kdbench.networks.models import new_backbone, write_weights
from kdbench.resources import CACHE_VARIABLE
from kdbench.testsets.spec import load_spec
from tests.command_line import Command, assert_refused
from tests.data.own_folders import write_images

FEW = ("--limit-test", "20", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of untrained networks, own images, and the cache of the tests of this file."""
    folder = tmp_path_factory.mktemp("profile")
    torch.save(timm.create_model("test_resnet", num_classes=10).state_dict(), folder / "ten.pth")
    torch.save(timm.create_model("test_resnet").state_dict(), folder / "imagenet.pth")
    write_weights(folder / "vit.safetensors", new_backbone(load_spec().track("synthetic"), "vit", seed=0).model)
    broken = timm.create_model("test_resnet", num_classes=10)
    torch.nn.init.constant_(broken.conv1[0].weight, float("nan"))
    torch.save(broken.state_dict(), folder / "nan.pth")
    (folder / "classes.json").write_text('{"bright": [1, 2, 3], "dark": 4}')
    write_images(folder / "own", 5)
    return folder


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(folder / "cache"))


def test_the_network_of_a_track_gets_the_images_of_the_track(kdbench: Command, folder: Path) -> None:
    result = kdbench("profile", "--model", "vit", "--weights", "vit.safetensors", *FEW, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("vit, track synthetic\nClean accuracy: ")
    assert "32 x 32 pixels, mean 0.5 0.5 0.5, std 0.5 0.5 0.5 (those of the test images)" in result.stdout
    assert "Decisions on 20 cue-conflict images: shape " in result.stdout


def test_json_has_every_number_of_own_images_with_named_classes(kdbench: Command, folder: Path) -> None:
    model = ("--model", "test_resnet", "--weights", "imagenet.pth", "--classes", "classes.json", "--input", "track")
    result = kdbench("profile", *model, "--data", "own", "--track", "cifar10-32", "--json", *FEW, cwd=folder)
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["classes"] == 2
    assert printed["expected"]["image_size"] == 32
    assert printed["profile"]["axes"]["noise"]["accuracy"]["images"] == 10
    assert "--masks" in printed["profile"]["axes"]["shape"]["bias"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "resnet1x"], ["no model 'resnet1x'", "did you mean", "timm.list_models()"]),
        (["--model", "cnn"], ["--model cnn has no weights of its own", "--weights"]),
        (["--model", "test_vit", "--weights", "ten.pth"], ["ten.pth", "head.weight"]),
        (["--model", "test_resnet", "--weights", "nowhere.pth"], ["nowhere.pth cannot be read"]),
        (["--model", "test_resnet", "--weights", "imagenet.pth"], ["1000 outputs", "10 classes", "--classes FILE"]),
        (["--model", "test_resnet", "--weights", "nan.pth"], ["not finite (NaN or infinite)", "check its weights"]),
        (
            ["--model", "test_resnet", "--weights", "ten.pth", "--classes", "ten.pth"],
            ["ten.pth cannot be read as JSON"],
        ),
        (["--model", "test_resnet", "--weights", "ten.pth", "--argument", "depth"], ["KEY=VALUE", "img_size=32"]),
        (["--model", "test_resnet", "--weights", "ten.pth", "--argument", "depth=3"], ["cannot build", "--argument"]),
        (["--model", "test_resnet", "--weights", "ten.pth", "--data", "nowhere"], ["nowhere is not a folder"]),
        (["--model", "test_resnet", "--weights", "ten.pth", "--masks", "own"], ["masks are for one's own images"]),
        (["--model", "test_resnet", "--input", "imagenet"], ["--input 'imagenet'", "model, track"]),
    ],
    ids=lambda case: "-".join(part.strip("-") for part in case[1:]) if case[0].startswith("--") else "",
)
def test_what_cannot_be_profiled_is_refused(
    kdbench: Command, folder: Path, arguments: list[str], words: list[str]
) -> None:
    assert_refused(kdbench("profile", *arguments, *FEW, cwd=folder), *words)
