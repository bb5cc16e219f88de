"""timm models by name: weights in the formats that people have, and what is refused in a sentence."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from kdbench.errors import InputError
from kdbench.networks.from_timm import timm_model, track_model
from kdbench.networks.models import new_backbone, write_weights
from kdbench.testsets.spec import load_spec

NAME = "test_resnet"
TRACK = load_spec().track("synthetic")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    model: nn.Module = timm.create_model(NAME, num_classes=7)
    return model


def has_weights_of(model: nn.Module, network: nn.Module) -> bool:
    states = model.state_dict(), network.state_dict()
    return states[0].keys() == states[1].keys() and all(
        torch.equal(states[0][key], states[1][key]) for key in states[0]
    )


@pytest.mark.parametrize("nested", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_of_torch_is_read_as_training_scripts_write_it(
    network: nn.Module, nested: str | None, prefix: str, tmp_path: Path
) -> None:
    state: Any = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    torch.save({nested: state, "epoch": 3} if nested else state, tmp_path / "w.pth")
    model = timm_model(NAME, weights=tmp_path / "w.pth")
    assert has_weights_of(model, network)
    assert not model.training


def test_a_file_of_safetensors_is_read(network: nn.Module, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    assert has_weights_of(timm_model(NAME, weights=tmp_path / "w.safetensors"), network)


def test_arguments_of_timm_reach_the_model(tmp_path: Path) -> None:
    arguments = {"img_size": 32, "patch_size": 8}
    network = timm.create_model("test_vit", num_classes=3, **arguments)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    assert has_weights_of(timm_model("test_vit", weights=tmp_path / "w.pth", arguments=arguments), network)


def test_the_network_of_a_track_takes_the_weights_of_a_run(tmp_path: Path) -> None:
    network = new_backbone(TRACK, "cnn", seed=3, pretrained=False).model
    write_weights(tmp_path / "w.safetensors", network)
    assert has_weights_of(track_model(TRACK, "cnn", tmp_path / "w.safetensors"), network)
    with pytest.raises(InputError, match="do not fit the ViT of the track synthetic: they lack cls_token"):
        track_model(TRACK, "vit", tmp_path / "w.safetensors")


def test_an_unknown_name_is_refused_with_similar_ones() -> None:
    with pytest.raises(InputError, match=r"no model 'resnet1x'; did you mean resnet18"):
        timm_model("resnet1x")


def test_weights_of_another_model_are_refused(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"have no tensor head\.weight, the classifier of the model"):
        timm_model("test_vit", weights=tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"do not fit resnet10t: (they|size)"):
        timm_model("resnet10t", weights=tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "are not a state dict"), (b"PK\x03\x04 no zip", "are not a state dict"), (None, "cannot be read: No such")],
    ids=["empty", "damaged", "missing"],
)
def test_a_file_without_weights_is_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(InputError, match=words):
        timm_model(NAME, weights=tmp_path / "w.pth")


def test_a_whole_module_is_refused_in_place_of_a_state_dict(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"save `model\.state_dict\(\)`"):
        timm_model(NAME, weights=tmp_path / "w.pth")


def test_pretrained_weights_that_cannot_be_had_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **keywords: object) -> None:
        raise OSError("the hub cannot be reached")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(InputError, match="the hub cannot be reached; give a file with --weights"):
        timm_model(NAME)
