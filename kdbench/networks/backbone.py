"""timm models behind one `Output`.

A `Backbone` adds no computation: hooks read the features from the ordinary forward pass of the model, so parameters and
logits are those of timm.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Output, OutputField, Shapes
from kdbench.spec import Family

NUM_STAGES = 4
RECOMPILE_LIMIT = 64  # PyTorch's default of 8 is per function, and the parts of all networks share one function
ALL_FIELDS: frozenset[OutputField] = frozenset(get_args(OutputField))


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
        family: "cnn" for a ResNet (`layer1` to `layer4`), "vit" for a VisionTransformer (`blocks`, `norm`).
    """

    def __init__(self, model: nn.Module, family: Family) -> None:
        super().__init__()
        self.model = model
        self.family = family
        self._seen: dict[str, Tensor] = {}
        self._active = False
        for name, module in self._watched().items():
            module.register_forward_hook(self._keep(name))

    def _watched(self) -> dict[str, nn.Module]:
        if self.family == "cnn":
            return {f"stage{k}": cast(nn.Module, getattr(self.model, f"layer{k + 1}")) for k in range(NUM_STAGES)}
        blocks = cast(nn.ModuleList, self.model.blocks)
        depth = len(blocks)
        ends = {f"stage{k}": blocks[(k + 1) * depth // NUM_STAGES - 1] for k in range(NUM_STAGES)}
        attention = cast(nn.Module, blocks[-1].attn)
        return {**ends, "norm": cast(nn.Module, self.model.norm), "qkv": cast(nn.Module, attention.qkv)}

    def _keep(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            if self._active:
                self._seen[name] = output

        return hook

    def forward(self, images: Tensor, needs: frozenset[OutputField] = frozenset({"logits"})) -> Output:
        """Return the output for images.

        Args:
            images: (B, 3, H, W) float.
            needs: fields to compute; the others are None, except for `logits`.
        """
        self._active = bool(needs - {"logits"})
        try:
            features = cast(Any, self.model).forward_features(images)
            logits = cast(Tensor, cast(Any, self.model).forward_head(features))
            fields = self._cnn_fields(needs) if self.family == "cnn" else self._vit_fields(features, needs)
        finally:
            self._active = False
            self._seen.clear()
        return Output(logits=logits, **fields)

    def _cnn_fields(self, needs: frozenset[OutputField]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "pooled" in needs:
            fields["pooled"] = F.adaptive_avg_pool2d(self._seen["stage3"], 1).flatten(1)
        if "feature_map" in needs:
            fields["feature_map"] = self._seen["stage3"]
        if "dense_logits" in needs:
            fields["dense_logits"] = self._classified(self._seen["stage3"])
        if "stages" in needs:
            fields["stages"] = tuple(self._seen[f"stage{k}"] for k in range(NUM_STAGES))
        return fields

    def _vit_fields(self, features: Tensor, needs: frozenset[OutputField]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if "pooled" in needs:
            fields["pooled"] = cast(Any, self.model).forward_head(features, pre_logits=True)
        if "feature_map" in needs:
            fields["feature_map"] = self._grid(self._seen["norm"])
        if "dense_logits" in needs:
            fields["dense_logits"] = self._classified(self._grid(self._seen["norm"]))
        if "stages" in needs:
            fields["stages"] = tuple(self._grid(self._seen[f"stage{k}"]) for k in range(NUM_STAGES))
        if "attention" in needs:
            heads = int(cast(Any, self.model).blocks[-1].attn.num_heads)
            packed = self._seen["qkv"]
            batch, tokens, width = packed.shape
            q, k, v = packed.view(batch, tokens, 3, heads, width // 3 // heads).permute(2, 0, 3, 1, 4)
            fields["attention"] = (q, k, v)
        return fields

    def _classified(self, feature_map: Tensor) -> Tensor:
        """Return (B, C, h, w): the classifier applied at every position of a (B, F, h, w) map."""
        classifier = cast(Any, self.model).get_classifier()
        return cast(Tensor, classifier(feature_map.movedim(1, -1))).movedim(-1, 1)

    def _grid(self, tokens: Tensor) -> Tensor:
        """Return the patches of (B, prefix + g * g, D) tokens as a (B, D, g, g) map."""
        patches = tokens[:, int(cast(Any, self.model).num_prefix_tokens) :]
        side = round(patches.shape[1] ** 0.5)
        return patches.transpose(1, 2).reshape(len(tokens), -1, side, side)

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

        attention = (
            None if output.attention is None else cast(tuple[int, int, int], tuple(output.attention[0].shape[1:]))
        )
        return Shapes(
            family=self.family,
            pooled=output.pooled.shape[1],
            feature_map=map_shape(output.feature_map),
            stages=tuple(map_shape(stage) for stage in output.stages),
            attention=attention,
            prefix_tokens=int(getattr(self.model, "num_prefix_tokens", 0)),
        )


def compile_parts(backbone: Backbone, backend: str | Callable[..., Any] = "inductor") -> None:
    """Run the stages of a CNN, or the blocks of a ViT, through torch.compile from now on.

    Compiled parts may not contain hooks. Therefore the last block of a ViT, which contains one, is not compiled. The
    names in the state dict stay the same. Above PyTorch's limit of compilations, parts would silently run uncompiled,
    so the limit is raised. Graphs are kept after a backward pass, because the harness computes norms of gradients from
    them.

    Args:
        backbone: to compile. Get its shapes before, since their batch of one image would cause another compilation.
        backend: of torch.compile.
    """
    from torch._dynamo import config as compiler
    from torch._functorch import config as graphs

    compiler.recompile_limit = RECOMPILE_LIMIT
    graphs.donated_buffer = False
    model = cast(Any, backbone.model)
    stages = (getattr(model, f"layer{k + 1}") for k in range(NUM_STAGES))
    for part in stages if backbone.family == "cnn" else model.blocks[:-1]:
        part.forward = torch.compile(part.forward, backend=backend)
