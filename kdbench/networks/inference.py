"""A network that only answers, in the form in which a GPU computes its answers fastest."""

from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from kdbench.api import Output, OutputField
from kdbench.networks.backbone import Backbone


class InferenceBackbone(Backbone):
    """A `Backbone` whose weights are bfloat16 and which computes without autocast, so that no weight is cast twice.

    Its output has the types that autocast gives: the features of a ViT are float32, since autocast normalises tokens in
    float32; everything else is bfloat16.
    """

    def forward(self, images: Tensor, needs: frozenset[OutputField] | None = None) -> Output:
        """Return the output for images; see `Backbone.forward`."""
        with torch.autocast(images.device.type, enabled=False):
            output = super().forward(images.to(torch.bfloat16), needs)
        return output if self.family == "cnn" else _with_float_features(output)


def has_inference_form(backbone: Backbone) -> bool:
    """Return whether a network is a ResNet or a Vision Transformer, of which `inference_form` knows the parts."""
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(backbone.model, ResNet | VisionTransformer)


def inference_form(backbone: Backbone) -> InferenceBackbone:
    """Return a network in bfloat16 that computes what `backbone` computes in evaluation mode under autocast.

    A normalisation of a CNN that directly follows a convolution becomes part of its weights, before these are rounded.

    Args:
        backbone: in evaluation mode, and with such a form. Its model is changed, so it cannot be used any more.
    """
    if backbone.family == "cnn":
        fold_normalisations(backbone.model)
    model = backbone.model.to(torch.bfloat16)
    for module in model.modules():  # the new network registers its own
        module._forward_hooks.clear()
    return InferenceBackbone(model, backbone.family).eval().requires_grad_(False)


def fold_normalisations(model: nn.Module) -> None:
    """Fold each batch normalisation of a timm ResNet in evaluation mode into the convolution before it, in place.

    timm registers the parts of a ResNet in the order in which they are applied.
    """
    for part in list(model.modules()):
        for (name, first), (next_name, second) in pairwise(list(part.named_children())):
            if isinstance(first, nn.Conv2d) and type(second) is nn.BatchNorm2d:
                setattr(part, name, fuse_conv_bn_eval(first, second))
                setattr(part, next_name, nn.Identity())


def _with_float_features(output: Output) -> Output:
    """Return an output with the features of a ViT in float32."""
    fields = dict(vars(output))
    for name in ("pooled", "feature_map"):
        if fields[name] is not None:
            fields[name] = fields[name].float()
    if fields["stages"] is not None:
        fields["stages"] = tuple(stage.float() for stage in cast(Any, fields["stages"]))
    return Output(**fields)
