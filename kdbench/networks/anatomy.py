"""Where the parts of a timm network are: its family, its four stages, its classifier and its attention.

Everything follows from the modules and from what timm says of them, before any image is seen, so that a plan, a
training and an evaluation agree on it.
"""

from collections.abc import Iterable
from typing import Any, cast

from torch import nn

from kdbench.api import OutputField
from kdbench.spec import FAMILY_NAMES, Family

NUM_STAGES = 4
_METHODS = ("forward_intermediates", "forward_head", "get_classifier")  # of timm's networks, but not of all of them


def family_of(model: nn.Module) -> Family:
    """Return "cnn" for a network that convolves and has no attention, and "vit" for any other.

    So "vit" are vision transformers and other networks with attention, hybrids included, and networks that mix the
    tokens of an image in another way, such as MLP-Mixer. A convolution of a patch, whose kernel is its stride, is how
    tokens are made; an attention that only pools the last map does not count.
    """
    attends = any(map(_attends, model.modules()))
    convolves = any(isinstance(part, nn.Conv2d) and _overlaps(part) for part in model.modules())
    return "cnn" if convolves and not attends else "vit"


def _attends(part: nn.Module) -> bool:
    """Return whether a module has heads of attention, by either name that timm uses, and does more than pool."""
    return (hasattr(part, "num_heads") or hasattr(part, "heads")) and "Pool" not in type(part).__name__


def _overlaps(convolution: nn.Conv2d) -> bool:
    """Return whether a convolution reads pixels several times: its kernel is larger than its stride."""
    return any(size > step for size, step in zip(convolution.kernel_size, convolution.stride, strict=True))


def check_network(model: nn.Module, family: Family) -> None:
    """Raise ValueError, with the reason, if a network is not of a family, or its features cannot be read."""
    name = type(model).__name__
    if any(not hasattr(model, method) for method in _METHODS):
        raise ValueError(f"{name} lacks {' or '.join(_METHODS)}, with which timm gives features")
    if (actual := family_of(model)) != family:
        raise ValueError(f"{name} counts as a {FAMILY_NAMES[actual]}, and a {FAMILY_NAMES[family]} is needed there")
    if (stages := len(_reductions(model))) < NUM_STAGES:
        raise ValueError(f"{name} has {stages} stages, and {NUM_STAGES} are needed")


def stage_positions(model: nn.Module) -> list[int]:
    """Return the positions of the four stages among the features that timm counts.

    They are the ends of the quarters of a network whose maps all have one size, and else its last four maps.
    """
    reductions = _reductions(model)
    depth = len(reductions)
    if len(set(reductions)) == 1:
        return [(k + 1) * depth // NUM_STAGES - 1 for k in range(NUM_STAGES)]
    return list(range(depth - NUM_STAGES, depth))


def _reductions(model: nn.Module) -> list[int]:
    """Return by how much each feature that timm counts is smaller than the image."""
    return [info["reduction"] for info in cast(Iterable[dict[str, Any]], model.feature_info)]


def classifier_names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the layers that timm trains anew for other classes: one, or one for each of several heads."""
    names = cast(Any, model).pretrained_cfg["classifier"]
    return (names,) if isinstance(names, str) else tuple(names or ())


def classifier_layers(model: nn.Module) -> tuple[nn.Module, ...]:
    """Return the layers that make logits: one, or one for each of several heads."""
    layers = cast(Any, model).get_classifier()
    return layers if isinstance(layers, tuple) else (layers,)


def missing_fields(model: nn.Module) -> frozenset[OutputField]:
    """Return the fields of `Output` besides `attention` that a network does not have.

    `classifier` needs one linear layer on the pooled features, and `dense_logits` needs that this layer fits the map,
    too, with at most a layer normalisation in between.
    """
    network = cast(Any, model)
    (layer, *others), norm = classifier_layers(model), norm_after_pooling(model)
    pooled = getattr(network, "head_hidden_size", network.num_features)
    missing: set[OutputField] = set()
    if not isinstance(layer, nn.Linear) or others or len(classifier_names(model)) != 1 or layer.in_features != pooled:
        missing |= {"classifier", "dense_logits"}
    elif layer.in_features != network.num_features or not isinstance(norm, nn.LayerNorm | nn.Identity):
        missing |= {"dense_logits"}
    return frozenset(missing)


def norm_after_pooling(model: nn.Module) -> nn.Module:
    """Return the normalisation between the pooling and the classifier; the identity if there is none."""
    head = getattr(model, "head", None)
    return getattr(model, "fc_norm", None) or getattr(head, "norm", None) or nn.Identity()


def packed_attention(model: nn.Module) -> nn.Module | None:
    """Return the layer that computes queries, keys and values of the last block of a Vision Transformer.

    None for a network whose attention is not over all tokens of the image, or is computed in another way.
    """
    from timm.models.vision_transformer import Attention, VisionTransformer

    if not isinstance(model, VisionTransformer):
        return None
    attention = getattr(model.blocks[-1], "attn", None)
    return cast(nn.Module, attention.qkv) if isinstance(attention, Attention) else None
