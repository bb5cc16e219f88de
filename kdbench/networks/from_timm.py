"""Builds a timm model by name, with weights from a file or from timm's hub."""

import difflib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from kdbench.errors import InputError, plain_text
from kdbench.networks.backbone import create_model
from kdbench.networks.models import new_backbone
from kdbench.spec import FAMILY_NAMES, Family, Track

NESTED = ("state_dict", "model_state_dict", "model")  # keys under which training scripts save weights
PREFIX = "module."  # of the names that torch's data parallelism saves


def timm_model(name: str, *, weights: Path | None = None, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """Return a timm model with trained weights, in evaluation mode.

    Args:
        name: that `timm.create_model` knows.
        weights: file of a state dict (.safetensors, or .pth and the like as `torch.save` writes it), which decides the
            number of outputs; None for timm's own pretrained weights, which are downloaded unless they are there.
        arguments: further ones for `timm.create_model`, such as `img_size`.

    Raises:
        InputError: there is no such model, or no such weights, or they do not fit.
    """
    import timm

    _check_name(name)
    if weights is not None:
        return _with_weights(name, weights, arguments or {}).eval()
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, **(arguments or {}))
    except Exception as error:  # of timm or of one of several clients that download
        raise InputError(
            f"timm has no pretrained weights of {name!r} here: {plain_text(str(error), 200)}; "
            "give a file with --weights"
        ) from error
    return model.eval()


def fixed_size(name: str) -> int | None:
    """Return the pixels per side of the only images that a timm model takes, unless it gets the argument `img_size`.

    None for a model that takes images of several sizes.

    Raises:
        InputError: there is no such model.
    """
    import timm

    _check_name(name)
    config = timm.get_pretrained_cfg(name)
    return int(config.input_size[-1]) if config is not None and config.fixed_input_size else None


def _check_name(name: str) -> None:
    """Raise InputError if timm has no model of a name."""
    import timm

    if not timm.is_model(name):
        raise InputError(f"timm has no model {name!r}{_alike(name)}; `timm.list_models()` lists all names")


def _alike(name: str) -> str:
    """Return a hint to models with similar names; empty without any."""
    import timm

    names = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3)
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _with_weights(name: str, path: Path, arguments: Mapping[str, Any]) -> nn.Module:
    state = _state_in(path)
    with torch.device("meta"):
        outline = _built(name, arguments, num_classes=1)
    model = _built(name, arguments, num_classes=_outputs_in(state, outline, path))
    _load(model, state, path, name)
    return model


def track_model(track: Track, family: Family, weights: Path) -> nn.Module:
    """Return the network of a track with the weights in a file, such as `weights.safetensors` beside a record.

    Raises:
        InputError: the weights cannot be read or do not fit.
    """
    model = new_backbone(track, family, seed=0, pretrained=False).model
    _load(model, _state_in(weights), weights, f"the {FAMILY_NAMES[family]} of the track {track.name}")
    return model.eval()


def _load(model: nn.Module, state: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Load all weights of a network; InputError if they are not those of such a network."""
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:  # tensors of other shapes
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"weights {path} do not fit {name}: {reason}; {_remedy(name)}") from error
    if missing or unexpected:
        shown = f"they lack {missing[0]}" if missing else f"they have {unexpected[0]}, which it lacks"
        raise InputError(f"weights {path} do not fit {name}: {shown}; {_remedy(name)}")


def _remedy(name: str) -> str:
    return f"name the model that they belong to, or give the arguments that {name} was built with (--argument)"


def _built(name: str, arguments: Mapping[str, Any], *, num_classes: int) -> nn.Module:
    try:
        return create_model(name, arguments, num_classes=num_classes)
    except Exception as error:  # of timm, for arguments that it does not know
        raise InputError(f"timm cannot build {name!r}: {plain_text(str(error), 200)}; correct --argument") from error


def _state_in(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, without what training scripts put around them."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"weights {path} cannot be read: {error.strerror or error}; give another file") from error
    except (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError, ValueError, KeyError) as error:
        reason = plain_text(str(error), 120) or type(error).__name__
        raise InputError(
            f"weights {path} are not a state dict in a .safetensors or .pth file: {reason}; save `model.state_dict()`"
        ) from error
    for key in NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"weights {path} hold no state dict; save `model.state_dict()` of the network")
    return {name.removeprefix(PREFIX): tensor for name, tensor in loaded.items()}


def _outputs_in(state: Mapping[str, Tensor], model: Any, path: Path) -> int:
    """Return the number of outputs of a state dict: the first axis of the classifier's weight."""
    classifiers = model.pretrained_cfg.get("classifier") or ""
    first = classifiers if isinstance(classifiers, str) else classifiers[0]
    weight = state.get(f"{first}.weight")
    if weight is None:
        raise InputError(
            f"weights {path} have no tensor {first}.weight, the classifier of the model; "
            "give weights of the whole network"
        )
    return len(weight)
