"""A network that somebody gives, of any architecture, in the form in which the evaluation asks it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kdbench.api import Output, OutputField
from kdbench.errors import InputError, plain_text
from kdbench.spec import Data, Family, FrozenModel

PIXELS_AT_A_TIME = 2**22  # of the images of a forward pass: 83 images of 224 x 224 pixels
Channels = tuple[float, float, float]
OutputsByClass = tuple[tuple[int, ...], ...]
"""For each class of the test images, the outputs of a network that mean it."""


class NetworkInput(FrozenModel):
    """The images that a network expects.

    Attributes:
        image_size: pixels per side.
        mean, std: of pixels in [0, 1] per channel, for normalisation.
        origin: where these numbers come from, in words.
    """

    image_size: int
    mean: Channels
    std: Channels
    origin: str = "as given"

    @classmethod
    def of_track(cls, data: Data) -> Self:
        """Return the size and the normalisation of a track's images."""
        return cls(image_size=data.image_size, mean=data.mean, std=data.std, origin="those of the test images")

    @classmethod
    def of_timm(cls, model: nn.Module) -> Self | None:
        """Return the size and the normalisation that timm names for a model; None for a model of another library."""
        if not isinstance(getattr(model, "pretrained_cfg", None), dict):
            return None
        from timm.data import resolve_model_data_config

        config = resolve_model_data_config(model)
        built_for = getattr(getattr(model, "patch_embed", None), "img_size", None)  # by the argument `img_size`
        size = built_for if isinstance(built_for, tuple) else config["input_size"][1:]
        return cls(image_size=int(size[0]), mean=config["mean"], std=config["std"], origin="as timm names them for it")

    def __str__(self) -> str:
        numbers = (" ".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        mean, std = numbers
        size = f"{self.image_size} x {self.image_size} pixels"
        return f"{size}, mean {mean}, std {std} ({self.origin})"


class GivenNetwork(nn.Module):
    """Any network that returns logits, behind the interface of a `Backbone` that computes nothing but logits.

    Args:
        model: maps (B, 3, H, H) float images to (B, N) logits.
        expected: the images that it expects; images of another size are resized (bicubic).
        num_classes: C, of the test images.
        outputs: of the network that mean each class; None if its outputs are the classes, in order. The logit of a
            class with several outputs is the logarithm of the mean of their probabilities.
        known: the outputs of networks with a certain number of outputs, where `outputs` is None.
    """

    family: Family | None = None

    def __init__(
        self,
        model: nn.Module,
        expected: NetworkInput,
        num_classes: int,
        outputs: OutputsByClass | None = None,
        known: Mapping[int, OutputsByClass] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.model = model
        self.expected = expected
        self.num_classes = num_classes
        self.outputs = outputs
        self.known = known

    def forward(self, images: Tensor, _needs: frozenset[OutputField] = frozenset()) -> Output:
        """Return the logits for (B, 3, h, h) images that are normalised as the network expects.

        Raises:
            InputError: the network fails, or does not return finite logits of the right shape.
        """
        most = max(1, PIXELS_AT_A_TIME // self.expected.image_size**2)
        return Output(logits=torch.cat([self._logits(part) for part in torch.split(images, most)]))

    def _logits(self, images: Tensor) -> Tensor:
        try:
            answer: Any = self.model(self._at_size(images))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of the user's own code
            size = self.expected.image_size
            raise InputError(
                f"the network failed on images of {size} x {size} pixels: {type(error).__name__}: "
                f"{plain_text(str(error).rstrip('.'), 200)}; check that it expects images of this size"
            ) from error
        return self._by_class(_checked(answer, len(images)))

    def _at_size(self, images: Tensor) -> Tensor:
        """Return images at the size that the network expects, within the range of a pixel."""
        size = self.expected.image_size
        if images.shape[-1] == size:
            return images
        smaller = size < images.shape[-1]
        resized = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=smaller)
        mean, std = (resized.new_tensor(values).view(3, 1, 1) for values in (self.expected.mean, self.expected.std))
        return resized.clamp(-mean / std, (1 - mean) / std)

    def _by_class(self, logits: Tensor) -> Tensor:
        """Return (B, C) logits of the classes of the test images, for (B, N) logits of the network."""
        count = logits.shape[1]
        outputs = self.outputs or self.known.get(count)
        if outputs is None:
            if count != self.num_classes:
                raise InputError(
                    f"the network has {count} outputs, but the test images have {self.num_classes} classes; say with "
                    "`classes` (--classes FILE) which outputs mean which class"
                )
            return logits
        largest = max(output for of_class in outputs for output in of_class)
        if largest >= count:
            raise InputError(
                f"`classes` names the output {largest}, but the network has the outputs 0 to {count - 1}; correct it"
            )
        return torch.stack([_log_mean(logits[:, list(of_class)]) for of_class in outputs], dim=1)


def _log_mean(logits: Tensor) -> Tensor:
    """Return (B,) the logarithm of the mean of the exponentials of (B, K) logits."""
    return logits.logsumexp(dim=1) - torch.tensor(float(logits.shape[1])).log().to(logits.device)


def _checked(answer: Any, images: int) -> Tensor:
    """Return the answer of a network to some images as float32; InputError if it is not (B, N) finite numbers."""
    if not isinstance(answer, Tensor):
        raise InputError(
            f"the network returned a value of the type {type(answer).__name__}, but logits are needed, a tensor with "
            "one row per image; wrap the network in a module that returns them"
        )
    if answer.ndim != 2 or len(answer) != images:
        raise InputError(
            f"the network returned the shape {_words(answer.shape)} for {images} images, but logits of the shape "
            f"{images} x (number of classes) are needed; return the logits of the classifier"
        )
    logits = answer.detach().float()
    if not bool(logits.isfinite().all()):
        raise InputError(
            "the network returned logits that are not finite (NaN or infinite); check its weights and the "
            "normalisation of its images"
        )
    return logits


def _words(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "of a single number"
