"""timm models behind one `Output`.

A `Backbone` adds no computation: timm returns the features of its ordinary forward pass, so parameters and logits are
those of timm. A hook, which the compiler traces too, reads the queries, keys and values that timm does not return.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Output, OutputField, Shapes
from kdbench.spec import Family

NUM_STAGES = 4
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
    """A timm ResNet or Vision Transformer whose forward returns an `Output`.

    Args:
        model: the timm model.
        family: "cnn" for a ResNet, "vit" for a VisionTransformer.
        needs: fields to compute where the caller names none.

    Raises:
        ValueError: the model is of another class.
    """

    def __init__(self, model: nn.Module, family: Family, needs: frozenset[OutputField] = frozenset({"logits"})) -> None:
        super().__init__()
        _check_class(model, family)
        self.model = model
        self.family = family
        self.needs = needs
        self.compute: Compute = self.fields
        self._packed: list[Tensor] = []  # queries, keys and values of the last block, in one tensor
        if family == "vit":
            cast(Any, model).blocks[-1].attn.qkv.register_forward_hook(self._keep_packed)

    def _keep_packed(self, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self._packed.append(output)

    def forward(self, images: Tensor, needs: frozenset[OutputField] | None = None) -> Output:
        """Return the output for images.

        Args:
            images: (B, 3, H, W) float.
            needs: fields to compute besides `logits`; None for the network's own.
        """
        needs = self.needs if needs is None else needs
        fields = self.compute(images, needs - CLASSIFIER)
        return Output(**fields, classifier=self.classify) if "classifier" in needs else Output(**fields)

    def classify(self, features: Tensor) -> Tensor:
        """Return (..., C) logits of (..., F) features, with the present weights of the classifier."""
        return cast(Tensor, cast(Any, self.model).get_classifier()(features))

    def fields(self, images: Tensor, needs: frozenset[OutputField]) -> dict[str, Any]:
        """Return the fields of the output by name. The compiler makes one graph of this function for each `needs`."""
        self._packed.clear()
        model = cast(Any, self.model)
        features, stages = model.forward_intermediates(images, indices=self._ends(), output_fmt=self._layout())
        fields = {"logits": model.forward_head(features)}
        fields |= self._cnn_fields(stages, needs) if self.family == "cnn" else self._vit_fields(features, stages, needs)
        self._packed.clear()
        return fields

    def _ends(self) -> list[int]:
        """Return the positions of the stages' outputs among the intermediate features that timm counts."""
        if self.family == "cnn":
            return list(range(1, NUM_STAGES + 1))  # number 0 is the stem
        depth = len(cast(nn.ModuleList, self.model.blocks))
        return [(k + 1) * depth // NUM_STAGES - 1 for k in range(NUM_STAGES)]

    def _layout(self) -> str:
        """Return timm's name for the axes of the intermediate features: maps of a CNN, patches of a ViT."""
        return "NCHW" if self.family == "cnn" else "NLC"

    def _cnn_fields(self, stages: list[Tensor], needs: frozenset[OutputField]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "pooled" in needs:
            fields["pooled"] = F.adaptive_avg_pool2d(stages[-1], 1).flatten(1)
        if "feature_map" in needs:
            fields["feature_map"] = stages[-1]
        if "dense_logits" in needs:
            fields["dense_logits"] = self._classified(stages[-1])
        if "stages" in needs:
            fields["stages"] = tuple(stages)
        return fields

    def _vit_fields(self, features: Tensor, stages: list[Tensor], needs: frozenset[OutputField]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        patches = features[:, int(cast(Any, self.model).num_prefix_tokens) :]
        if "pooled" in needs:
            fields["pooled"] = cast(Any, self.model).forward_head(features, pre_logits=True)
        if "feature_map" in needs:
            fields["feature_map"] = _grid(patches)
        if "dense_logits" in needs:
            fields["dense_logits"] = self._classified(_grid(patches))
        if "stages" in needs:
            fields["stages"] = tuple(_grid(stage) for stage in stages)
        if "attention" in needs:
            fields["attention"] = self._attention()
        return fields

    def _attention(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of the last block, each (B, heads, prefix + patches, head width)."""
        heads = int(cast(Any, self.model).blocks[-1].attn.num_heads)
        packed = self._packed[-1]
        batch, tokens, width = packed.shape
        q, k, v = packed.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
        return q, k, v

    def _classified(self, feature_map: Tensor) -> Tensor:
        """Return (B, C, h, w): the classifier applied at every position of a (B, F, h, w) map."""
        return self.classify(feature_map.movedim(1, -1)).movedim(-1, 1)

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

        attention = None if self.family == "cnn" else cast(tuple[int, int, int], tuple(output.attention[0].shape[1:]))
        return Shapes(
            family=self.family,
            pooled=output.pooled.shape[1],
            feature_map=map_shape(output.feature_map),
            stages=tuple(map_shape(stage) for stage in output.stages),
            attention=attention,
            prefix_tokens=int(getattr(self.model, "num_prefix_tokens", 0)),
        )


def _check_class(model: nn.Module, family: Family) -> None:
    """Raise ValueError if a model is not of the class in which this module finds the features of its family."""
    from timm.models.resnet import ResNet
    from timm.models.vision_transformer import VisionTransformer

    wanted: type[nn.Module] = ResNet if family == "cnn" else VisionTransformer
    if not isinstance(model, wanted):
        raise ValueError(
            f"{type(model).__name__} is not a {wanted.__name__}, as a network of the family {family!r} must be"
        )


def _grid(patches: Tensor) -> Tensor:
    """Return (B, g * g, D) patches as a (B, D, g, g) map."""
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(len(patches), -1, side, side)
