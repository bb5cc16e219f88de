"""A random teacher knows what its pretrained trunk knows, and has been taught nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kdbench.networks.models import head_seed
from kdbench.records import WEIGHTS, Budget
from kdbench.resources import shipped
from kdbench.spec import Family, TeacherBias
from kdbench.testsets.spec import load_spec
from kdbench.training.outcome import read_outcome
from kdbench.training.untrained import keep_untrained

SYNTHETIC = load_spec().track("synthetic")
HEADS = {"cnn": "fc.", "vit": "head."}


def kept(
    folder: Path, family: Family, bias: TeacherBias = "shape", seed: int = 0, track: str = "synthetic"
) -> dict[str, torch.Tensor]:
    folder = folder / f"{track}-{family}-{bias}-{seed}"
    settings = load_spec().track(track)
    keep_untrained(settings, family, stand_in_for=bias, seed=seed, folder=folder, device="cpu")
    return load_file(folder / WEIGHTS)


@pytest.mark.parametrize("family", ["cnn", "vit"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_trunk_is_the_pretrained_one_of_its_seed_to_the_bit(tmp_path: Path, family: Family, seed: int) -> None:
    weights = kept(tmp_path, family, seed=seed)
    trunk = load_file(shipped("benchmark", "v1", "weights", SYNTHETIC.backbones[family].pretrained[seed].file))
    shared = [name for name in weights if not name.startswith(HEADS[family])]
    assert len(shared) > 10
    assert {tensor.dtype for tensor in trunk.values()} <= {torch.float16, torch.int64}
    for name in shared:
        assert weights[name].dtype in (torch.float32, torch.int64)
        assert torch.equal(weights[name], trunk[name].to(weights[name].dtype))


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_every_place_and_seed_has_a_head_of_its_own(tmp_path: Path, family: Family) -> None:
    head = f"{HEADS[family]}weight"
    heads = [kept(tmp_path, family, bias, seed)[head] for bias in ("shape", "texture") for seed in (0, 1)]
    assert len({head.numpy().tobytes() for head in heads}) == 4
    torch.testing.assert_close(kept(tmp_path, family)[head], heads[0])


def test_no_trained_network_starts_from_a_random_teachers_head() -> None:
    taken = {
        head_seed("synthetic", role, "cnn", 0, bias) for role in ("teacher", "student") for bias in (None, "shape")
    }
    assert head_seed("synthetic", "untrained", "cnn", 0, "shape") not in taken


def test_a_track_from_scratch_has_random_teachers_that_are_random_throughout(tmp_path: Path) -> None:
    first, second = (kept(tmp_path, "cnn", "natural", seed, "cifar10-32") for seed in (0, 1))
    assert not torch.equal(first["layer4.0.conv1.weight"], second["layer4.0.conv1.weight"])


def test_nothing_was_spent_on_it(tmp_path: Path) -> None:
    kept(tmp_path, "cnn")
    outcome = read_outcome(tmp_path / "synthetic-cnn-shape-0")
    assert outcome is not None
    assert outcome.status == "ok"
    assert outcome.budget == Budget()
    assert outcome.parameters > 0
    assert outcome.environment is not None
