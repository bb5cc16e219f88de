"""Builds the networks of a track, and reads and writes their weights. No other module initialises backbones."""

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from kdbench.errors import DataError, remedy
from kdbench.files import atomic_file
from kdbench.networks.anatomy import classifier_names
from kdbench.networks.backbone import Backbone, create_model
from kdbench.networks.weights import FROM_TIMM, backbone_file, backbone_files, checked, fetch_or_check, weights_folder
from kdbench.randomness import seed_of
from kdbench.resources import shipped
from kdbench.spec import FAMILIES, BackboneSpec, Family, Track


def new_backbone(
    track: Track,
    family: Family,
    *,
    seed: int,
    pretrained: bool = True,
    number: int = 0,
    weights_dir: Path | None = None,
) -> Backbone:
    """Build a backbone of the track with its pretrained weights, if it has any, and a random classifier.

    The random state of the caller does not change.

    Args:
        track: of the spec.
        family: of the network.
        seed: of the random initialisation.
        pretrained: False for a network whose weights are all random.
        number: of the shipped weights, modulo the number of files: the seed of the run that starts from them.
        weights_dir: folder of pretrained weights that are not shipped; None for the folder in the cache.

    Raises:
        DataError: the weights are missing, are damaged or belong to another network.
    """
    spec = track.networks[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create_model(
            spec.architecture, spec.arguments, num_classes=track.data.num_classes, cifar_stem=spec.cifar_stem
        )
    if pretrained and spec.is_pretrained:
        _load_pretrained(model, spec, number, weights_dir)
    return Backbone(model, family)


def check_weights(track: Track, weights_dir: Path | None) -> None:
    """Fetch the pretrained weights of a track if they are missing, and compare them with the spec.

    Raises:
        DataError: a file cannot be fetched or differs; the message names it.
    """
    for file in backbone_files(track):
        fetch_or_check(file, weights_dir)
    for family in FAMILIES:
        if track.networks[family].weights == FROM_TIMM:
            new_backbone(track, family, seed=0, weights_dir=weights_dir)
    check_shipped_weights(track)


def check_shipped_weights(track: Track) -> None:
    """Compare the pretrained weights of a track that are shipped with the spec, and load each.

    Raises:
        DataError: a file is missing or differs; the message names it.
    """
    for family in FAMILIES:
        for number in range(len(track.networks[family].pretrained)):
            new_backbone(track, family, seed=0, number=number)


def _load_pretrained(model: nn.Module, spec: BackboneSpec, number: int, weights_dir: Path | None) -> None:
    """Load weights that were fetched from timm's hub, or those with a number that are shipped with the benchmark."""
    if spec.weights == FROM_TIMM:
        path = checked(backbone_file(spec), weights_folder(weights_dir))
        load_trunk(model, spec, path, spec.weights_sha256, read=lambda state: _as_timm_reads(state, model))
        return
    pretrained = spec.pretrained_for(number)
    load_trunk(model, spec, shipped("benchmark", "v1", "weights", pretrained.file), pretrained.sha256)


def load_trunk(
    model: nn.Module,
    spec: BackboneSpec,
    path: Path,
    sha256: str | None,
    read: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]] = dict,
) -> None:
    """Compare the SHA-256 of a weights file with the pinned one, and load all weights except the classifier's.

    Weights that are stored as float16 are read as float32, which holds them exactly.

    Args:
        model: to load into.
        spec: of the model.
        path: of the file.
        sha256: of the file; None to compare nothing.
        read: returns the tensors of the file with the names and shapes that the model has.
    """
    _compare_file(path, sha256)
    tensors, of_classifier = read(_tensors(path, "restore the file")), _classifier_test(model)
    state = {name: _float32(tensor) for name, tensor in tensors.items() if not of_classifier(name)}
    trunk = {name for name in model.state_dict() if not of_classifier(name)}
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError:  # tensors of other shapes
        missing, unexpected = [], list(state)
    if trunk & set(missing) or unexpected:
        built = f"{spec.architecture} with the arguments {spec.arguments}" if spec.arguments else spec.architecture
        raise DataError(f"{path} does not hold weights of {built}; replace it by the right file, or use random weights")


def _float32(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor in float32 if it is in float16; counters of batches are integers and stay so."""
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _as_timm_reads(state: dict[str, torch.Tensor], model: nn.Module) -> Mapping[str, torch.Tensor]:
    """Return tensors that timm publishes with the names and shapes that its present code gives a network."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    return cast(Mapping[str, torch.Tensor], convert(state, model)) if convert else state


def _classifier_test(model: nn.Module) -> Callable[[str], bool]:
    """Return a test of whether a tensor, by its name, belongs to the classifier of a network."""
    prefixes = tuple(f"{name}." for name in classifier_names(model))
    return lambda name: name.startswith(prefixes)


def read_weights(path: Path, digest: str | None = None) -> dict[str, torch.Tensor]:
    """Return the weights in the folder of a run.

    Args:
        path: of the safetensors file.
        digest: `tensors_digest` of the weights in the run's record; None to compare nothing.

    Raises:
        DataError: the file is missing or damaged, or its weights are others; the message names the folder to move.
    """
    again = f"move {path.parent} out of the results folder to train it again"
    state = _tensors(path, again)
    if digest is not None and (actual := tensors_digest(state)) != digest:
        raise DataError(
            f"weights {path} have the sha256 {actual[:12]}..., but their record has {digest[:12]}...; {again}"
        )
    return state


def _compare_file(path: Path, sha256: str | None) -> None:
    """Raise DataError if a file is missing, or does not have the pinned digest, if there is one."""
    try:
        if sha256 is not None and (actual := hashlib.sha256(path.read_bytes()).hexdigest()) != sha256:
            raise DataError(
                f"{path} has the sha256 {actual[:12]}..., but the spec has {sha256[:12]}...; restore the shipped file"
            )
    except OSError as error:
        raise DataError(f"weights {path} cannot be read: {error.strerror}; restore the file") from error


def _tensors(path: Path, again: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file; if it is missing or damaged, raise DataError with what to do then."""
    try:
        return load_file(path)
    except OSError as error:
        raise DataError(f"weights {path} cannot be read: {error.strerror or error}; {remedy(error, again)}") from error
    except SafetensorError as error:
        raise DataError(f"weights {path} are damaged: {error}; {again}") from error


def write_tensors(path: Path, state: Mapping[str, torch.Tensor]) -> str:
    """Write tensors as a safetensors file, atomically, and return their `tensors_digest`."""
    with atomic_file(path) as file:
        file.write(save({name: tensor.contiguous() for name, tensor in state.items()}))
    return tensors_digest(state)


def write_weights(path: Path, model: nn.Module) -> str:
    """Write a model's parameters and buffers as a safetensors file, atomically, and return their `tensors_digest`.

    Parameters in bfloat16 are written as float32, which holds them exactly.
    """
    state = model.state_dict()
    return write_tensors(path, {name: t.float() if t.dtype == torch.bfloat16 else t for name, t in state.items()})


def write_trunk(path: Path, model: nn.Module) -> None:
    """Write the weights of a model without its classifier as a safetensors file, in float16, atomically.

    Raises:
        ValueError: float16 cannot hold a weight.
    """
    of_classifier = _classifier_test(model)
    trunk = {name: t.cpu() for name, t in model.state_dict().items() if not of_classifier(name)}
    stored = {name: t.half() if t.is_floating_point() else t for name, t in trunk.items()}
    if not all(bool(t.isfinite().all()) for t in stored.values()):
        raise ValueError(f"float16 cannot hold all weights of {path.name}")
    write_tensors(path, stored)


def state_digest(module: nn.Module) -> str:
    """Return the SHA-256 of the names and bytes of all parameters and buffers."""
    return tensors_digest(module.state_dict())


def tensors_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of the names and bytes of tensors, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()


def head_seed(track: str, role: str, family: Family, seed: int, bias: str | None = None) -> int:
    """Return the seed of a network's initialisation. All students of a seed share it; each teacher has its own."""
    return seed_of("init", track, role, family, seed, bias or "")
