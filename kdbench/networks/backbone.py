"""timm models behind one `Output`.

A `Backbone` adds no computation: timm returns the features of its ordinary forward pass, so parameters and logits are
those of timm. A hook, which the compiler traces too, reads the queries, keys and values that timm does not return.
`kdbench.networks.anatomy` says where the parts of a network are.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Output, OutputField, Shapes
from kdbench.networks.anatomy import (
    check_network,
    missing_fields,
    norm_after_pooling,
    packed_attention,
    stage_positions,
)
from kdbench.spec import Family

CLASSIFIER: frozenset[OutputField] = frozenset({"classifier"})
ALL_FIELDS: frozenset[OutputField] = frozenset(get_args(OutputField)) - CLASSIFIER  # all that are computed from images
Compute = Callable[[Tensor, frozenset[OutputField]], dict[str, Any]]
"""Returns the fields of the output for images, by name."""


def create_model(
    architecture: str, arguments: Mapping[str, Any], *, num_classes: int, cifar_stem: bool = False
) -> nn.Module:
    """Return a randomly initialised timm model; the caller seeds torch first.

    Args:
        architecture: a name that `timm.create_model` knows.
        arguments: further arguments for it.
        num_classes: outputs of the classifier.
        cifar_stem: replace a ResNet's stem (7x7 of stride 2, then pooling) by a 3x3 of stride 1, as is usual at 32
            pixels.
    """
    import timm

    kwargs = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    model: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=num_classes, **kwargs)
    if cifar_stem:
        width = cast(nn.Conv2d, model.conv1).out_channels
        model.conv1 = nn.Conv2d(3, width, kernel_size=3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    return model


class Backbone(nn.Module):
    """A timm network whose forward returns an `Output`.

    Args:
        model: the timm model.
        family: "cnn" or "vit"; `kdbench.networks.anatomy.family_of` says which a network is.
        needs: fields to compute where the caller names none.

    Raises:
        ValueError: the model is of the other family, or its features cannot be read.
    """

    def __init__(self, model: nn.Module, family: Family, needs: frozenset[OutputField] = frozenset({"logits"})) -> None:
        super().__init__()
        check_network(model, family)
        self.model = model
        self.family = family
        self.needs = needs
        self.missing = missing_fields(model)
        self.compute: Compute = self.fields
        self._stages = stage_positions(model)
        self._packed: list[Tensor] = []  # queries, keys and values of the last block, in one tensor
        self._has_attention = (packing := packed_attention(model)) is not None
        if packing is not None:
            packing.register_forward_hook(self._keep_packed)

    def _keep_packed(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._packed.append(output)

    def forward(self, images: Tensor, needs: frozenset[OutputField] | None = None) -> Output:
        """Return the output for images.

        Args:
            images: (B, 3, H, W) float.
            needs: fields to compute besides `logits`; None for the network's own.
        """
        needs = (self.needs if needs is None else needs) - self.missing
        fields = self.compute(images, needs - CLASSIFIER)
        return Output(**fields, classifier=self.classify) if "classifier" in needs else Output(**fields)

    def classify(self, features: Tensor) -> Tensor:
        """Return (..., C) logits of (..., F) features, with the present weights of the classifier."""
        return cast(Tensor, cast(Any, self.model).get_classifier()(features))

    def fields(self, images: Tensor, needs: frozenset[OutputField]) -> dict[str, Any]:
        """Return the fields of the output by name. The compiler makes one graph of this function for each `needs`."""
        self._packed.clear()
        model, layout = cast(Any, self.model), "NLC" if self._has_attention else "NCHW"
        features, stages = model.forward_intermediates(images, indices=self._stages, output_fmt=layout)
        fields = {"logits": model.forward_head(features), **self._features(features, stages, needs)}
        self._packed.clear()
        return fields

    def _features(self, features: Tensor, stages: list[Tensor], needs: frozenset[OutputField]) -> dict[str, Any]:
        """Return the fields besides the logits, of the features before the pooling and the outputs of the stages."""
        fields: dict[str, Any] = {}
        if "pooled" in needs:
            fields["pooled"] = cast(Any, self.model).forward_head(features, pre_logits=True)
        if needs & {"feature_map", "dense_logits"}:
            feature_map = self._map(features, stages[-1])
        if "feature_map" in needs:
            fields["feature_map"] = feature_map
        if "dense_logits" in needs:
            fields["dense_logits"] = self._classified(feature_map)
        if "stages" in needs:
            fields["stages"] = tuple(_grid(stage) if stage.ndim == 3 else stage for stage in stages)
        if "attention" in needs and self._has_attention:
            fields["attention"] = self._attention()
        return fields

    def _map(self, features: Tensor, last_stage: Tensor) -> Tensor:
        """Return the features before the pooling as a (B, F, h, w) map: tokens in front of the patches are left out.

        Args:
            features: (B, F, h, w), (B, h, w, F) or (B, prefix + h * w, F), as the network has them.
            last_stage: the output of its last stage, (B, D, h, w) or (B, h * w, D).
        """
        if features.ndim == 4:
            channels_last = getattr(self.model, "output_fmt", "NCHW") == "NHWC"
            return features.permute(0, 3, 1, 2) if channels_last else features
        patches = last_stage.shape[1] if last_stage.ndim == 3 else last_stage[0, 0].numel()
        return _grid(features[:, features.shape[1] - patches :])

    def _attention(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of the last block, each (B, heads, prefix + patches, head width)."""
        heads = int(cast(Any, self.model).blocks[-1].attn.num_heads)
        packed = self._packed[-1]
        batch, tokens, width = packed.shape
        q, k, v = packed.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _classified(self, feature_map: Tensor) -> Tensor:
        """Return (B, C, h, w): the classifier applied at every position of a (B, F, h, w) map.

        A normalisation that the network has between the pooling and the classifier is applied at every position, too.
        """
        positions, norm = feature_map.movedim(1, -1), norm_after_pooling(self.model)
        if isinstance(norm, nn.LayerNorm):
            positions = F.layer_norm(positions, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return self.classify(positions).movedim(-1, 1)

    @torch.no_grad()
    def shapes(self, image_size: int) -> Shapes:
        """Return the static shapes of the output for square images of `image_size` pixels."""
        was_training = self.training
        self.eval()
        parameter = next(self.parameters())
        probe = torch.zeros(1, 3, image_size, image_size, device=parameter.device, dtype=parameter.dtype)
        output = self(probe, ALL_FIELDS)
        self.train(was_training)

        def map_shape(map_: Tensor) -> tuple[int, int, int]:
            return (map_.shape[1], map_.shape[2], map_.shape[3])

        attention = cast(tuple[int, int, int], tuple(output.attention[0].shape[1:])) if self._has_attention else None
        return Shapes(
            family=self.family,
            pooled=output.pooled.shape[1],
            feature_map=map_shape(output.feature_map),
            stages=tuple(map_shape(stage) for stage in output.stages),
            attention=attention,
            prefix_tokens=int(getattr(self.model, "num_prefix_tokens", 0)),
            missing=self.missing,
        )


def _grid(patches: Tensor) -> Tensor:
    """Return (B, g * g, D) patches as a (B, D, g, g) map."""
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(len(patches), -1, side, side)
