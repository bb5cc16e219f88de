"""Texture synthesis and style transfer with the features of VGG-19, by one optimiser.

Sources: Gatys, Ecker & Bethge (2015), arXiv:1505.07376 (texture) and arXiv:1508.06576 (style). Features are taken after
the ReLU; the weights are those of torchvision. The loss of an image depends on that image alone, and Adam treats every
pixel separately. The other images of a batch therefore change a result only by rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.networks.weights import VGG, fetch_or_check, load_into
from kdbench.testsets.fcn import IMAGENET_MEAN, IMAGENET_STD

BLOCKS = (2, 2, 4, 4, 4)  # convolutions before each pooling
TINY = 1e-12  # avoids a division by zero for a picture without any texture

Features = dict[str, Tensor]


class VggFeatures(nn.Module):
    """The convolutions of VGG-19, up to the last requested layer.

    Args:
        convolutions: torchvision's `features`: convolutions, ReLUs and poolings in turn.
        pooling: "max", as it was trained, or "average", as Gatys et al. recommend for synthesis.
    """

    def __init__(self, convolutions: nn.Sequential, pooling: Literal["max", "average"]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(layer for layer in convolutions if isinstance(layer, nn.Conv2d))
        self.pool: nn.Module = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[pooling](2)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return (B, 3, H, W) images standardised from pixels in [0, 255]."""
        return (pixels / 255 - cast(Tensor, self.mean)) / cast(Tensor, self.std)

    def pixels(self, normalised: Tensor) -> Tensor:
        """Return (B, 3, H, W) pixels in [0, 255], the inverse of `normalised`."""
        return (normalised * cast(Tensor, self.std) + cast(Tensor, self.mean)) * 255

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return black and white, standardised; (3, 1, 1) each."""
        black = torch.zeros_like(cast(Tensor, self.mean))
        return self.normalised(black), self.normalised(black + 255)

    def forward(self, images: Tensor, layers: Sequence[str]) -> Features:
        """Return the layers' features of standardised images: `conv3_2` after its ReLU, `pool3` after block 3."""
        wanted, features, number = set(layers), Features(), 0
        for block, depth in enumerate(BLOCKS, start=1):
            for step in range(1, depth + 1):
                images = F.relu(self.convolutions[number](images))
                number += 1
                if f"conv{block}_{step}" in wanted:
                    features[f"conv{block}_{step}"] = images
                if len(features) == len(wanted):
                    return features
            images = self.pool(images)
            if f"pool{block}" in wanted:
                features[f"pool{block}"] = images
            if len(features) == len(wanted):
                return features
        raise ValueError(f"VGG-19 has no layer {', '.join(sorted(wanted - features.keys()))}")


def load_vgg(device: torch.device, weights_dir: Path | None = None) -> nn.Sequential:
    """Return torchvision's convolutions with their weights, fetched if necessary; DataError if they are unavailable."""
    network = nn.ModuleDict({"features": new_vgg()})
    load_into(network, fetch_or_check(VGG, weights_dir), ignored=lambda name: name.startswith("classifier."))
    return cast(nn.Sequential, network["features"]).to(device).eval().requires_grad_(False)


def new_vgg() -> nn.Sequential:
    """Return the convolutions of VGG-19 with random weights."""
    from torchvision.models.vgg import cfgs, make_layers

    layers: nn.Sequential = make_layers(cfgs["E"])  # without the classifier, which is six times as big
    return layers


def gram(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the (B, C, C) Gram matrices of feature maps, averaged over positions.

    Args:
        features: (B, C, h, w).
        weight: (B, h, w) weight of each position, at least one above 0 per image; None for equal weights.
    """
    flat = features.flatten(2)
    if weight is None:
        return flat @ flat.mT / flat.shape[2]
    share = (weight / weight.sum(dim=(1, 2), keepdim=True)).flatten(1)
    return (flat * share[:, None]) @ flat.mT


@dataclass(frozen=True)
class Adam:
    """The number of steps of Adam, and its learning rate in standard deviations of a channel."""

    steps: int
    learning_rate: float

    def optimised(self, start: Tensor, loss: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
        """Return images that were optimised for a lower loss.

        Args:
            start: (B, 3, H, W).
            loss: returns the (B,) losses of such images.
            low, high: (3, 1, 1) the range of each channel; the images stay inside.
        """
        images = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([images], lr=self.learning_rate)
        for _ in range(self.steps):
            optimizer.zero_grad(set_to_none=True)
            loss(images).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                images.clamp_(low, high)
        return images.detach()


@dataclass(frozen=True)
class Layers:
    """Layers of VGG-19 with a weight each."""

    names: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def parsed(cls, names: str, weights: str) -> Self:
        """Return the layers that two texts of a spec list; ValueError if there is not one weight per name."""
        layers = cls(tuple(names.split()), tuple(float(weight) for weight in weights.split()))
        if len(layers.names) != len(layers.weights) or not layers.names:
            raise ValueError(
                f"there are {len(layers.names)} layers and {len(layers.weights)} weights; give one weight per layer"
            )
        return layers


@dataclass(frozen=True)
class Texture:
    """Texture synthesis: noise is optimised until its Gram matrices are those of a source.

    The error of a layer is divided by the size of the source's matrix, so that all layers have the same weight whatever
    the size of their activations. Gatys et al. rescale the network for this purpose.
    """

    layers: Layers
    adam: Adam

    def synthesised(self, vgg: VggFeatures, sources: Tensor, weight: Tensor, start: Tensor) -> Tensor:
        """Return (B, 3, H, H) textures in [0, 255].

        Args:
            vgg: features.
            sources: (B, 3, H, H) pixels in [0, 255].
            weight: (B, H, H) in [0, 1], larger where the source is.
            start: (B, 3, H, H) pixels in [0, 255] to start from.
        """
        with torch.no_grad():
            targets = {
                name: gram(features, F.adaptive_avg_pool2d(weight[:, None], features.shape[-2:])[:, 0])
                for name, features in vgg(vgg.normalised(sources), self.layers.names).items()
            }
            size = {name: target.square().sum(dim=(1, 2)) + TINY for name, target in targets.items()}

        def loss(images: Tensor) -> Tensor:
            features = vgg(images, self.layers.names)
            terms = [
                share * (gram(features[name]) - targets[name]).square().sum(dim=(1, 2)) / size[name]
                for name, share in zip(self.layers.names, self.layers.weights, strict=True)
            ]
            return torch.stack(terms).sum(dim=0)

        return vgg.pixels(self.adam.optimised(vgg.normalised(start), loss, *vgg.bounds()))


@dataclass(frozen=True)
class Style:
    """Style transfer: an image is optimised to keep its content and to get the Gram matrices of a picture.

    The term of the content is the mean squared difference of features. The style term of a layer is the mean squared
    difference of unnormalised Gram matrices, divided by d h w (the layer's channels, height and width).
    """

    layers: Layers
    style_weight: float
    content: str
    content_weight: float
    adam: Adam

    def transferred(self, vgg: VggFeatures, contents: Tensor, style: Tensor) -> Tensor:
        """Return (B, 3, H, H) pixels in [0, 255] of contents (B, 3, H, H) in the style of (1, 3, H, H)."""
        start = vgg.normalised(contents)
        with torch.no_grad():
            content = vgg(start, (self.content,))[self.content]
            features = vgg(vgg.normalised(style), self.layers.names)
            styles = {name: _sums(features[name]) for name in self.layers.names}

        def loss(images: Tensor) -> Tensor:
            features = vgg(images, (*self.layers.names, self.content))
            total: Tensor = self.content_weight * (features[self.content] - content).square().mean(dim=(1, 2, 3))
            for name, share in zip(self.layers.names, self.layers.weights, strict=True):
                difference = (_sums(features[name]) - styles[name]).square().mean(dim=(1, 2))
                total = total + self.style_weight * share * difference / features[name][0].numel()
            return total

        return vgg.pixels(self.adam.optimised(start, loss, *vgg.bounds()))


def _sums(features: Tensor) -> Tensor:
    """Return (B, C, C) Gram matrices, summed over positions."""
    return gram(features) * features[0, 0].numel()


@contextmanager
def repeatable() -> Iterator[None]:
    """Use deterministic kernels where the device has them, and full single precision instead of TF32.

    All types of GPU have full single precision.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = True, False, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = before


def texture_of(parameters: Mapping[str, Any]) -> Texture:
    """Return the texture synthesis that the parameters of a test set describe."""
    return Texture(Layers.parsed(parameters["layers"], parameters["weights"]), _adam_of(parameters))


def style_of(parameters: Mapping[str, Any]) -> Style:
    """Return the style transfer that the parameters of a test set describe."""
    return Style(
        layers=Layers.parsed(parameters["layers"], parameters["weights"]),
        style_weight=parameters["style_weight"],
        content=parameters["content"],
        content_weight=parameters["content_weight"],
        adam=_adam_of(parameters),
    )


def features_of(parameters: Mapping[str, Any], convolutions: nn.Sequential, device: torch.device) -> VggFeatures:
    """Return VGG-19 with the pooling that the parameters of a test set name, on a device."""
    return VggFeatures(convolutions, parameters["pooling"]).to(device)


def _adam_of(parameters: Mapping[str, Any]) -> Adam:
    return Adam(steps=parameters["steps"], learning_rate=parameters["learning_rate"])
