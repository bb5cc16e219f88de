"""The networks of the open division: any two of timm, in place of those of a track."""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from kdbench.spec.models import SpecModel
from kdbench.spec.vocabulary import Family

OPEN_DIVISION: Final = "open division"
"""What boards of other networks than those of a track are called."""

MOST_ARGUMENTS: Final = 20
_LONGEST_TEXT: Final = 100  # characters
_LARGEST: Final = 2**31
_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)
# What `timm.create_model` takes for itself: the harness decides it, or it would read files.
_OF_TIMM: Final = (
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"),
    *("scriptable", "exportable", "no_jit", "features_only", "num_classes", "in_chans"),
)


class OpenNetwork(SpecModel):
    """A timm network that takes the place of a track's own.

    Attributes:
        architecture: name of the timm model.
        arguments: of `timm.create_model`.
        weights: "timm" for timm's pretrained weights; None for random ones.
    """

    architecture: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=_LONGEST_TEXT)]
    arguments: dict[str, Any] = {}
    weights: Literal["timm"] | None = None

    @property
    def words(self) -> str:
        """The network, its arguments and its weights: `resnet18 (random weights)`."""
        arguments = "".join(f", {key}={value}" for key, value in self.arguments.items())
        return f"{self.architecture} ({'weights of timm' if self.weights else 'random weights'}{arguments})"

    @model_validator(mode="after")
    def _arguments_are_few_plain_values(self) -> Self:
        if len(self.arguments) > MOST_ARGUMENTS:
            raise ValueError(f"arguments has {len(self.arguments)} keys; allowed: at most {MOST_ARGUMENTS}")
        for key, value in self.arguments.items():
            if not _KEY.fullmatch(key) or key in _OF_TIMM:
                raise ValueError(f"arguments has the key {key!r}; give an argument of the network, such as img_size")
            if not all(map(_is_plain, value if isinstance(value, list) else [value])):
                raise ValueError(f"arguments.{key} is {value!r}; give a number, a short text, true, false or a list")
        return self


class OpenPair(SpecModel):
    """The two networks of a board of the open division; `pair[family]` gives one."""

    cnn: OpenNetwork
    vit: OpenNetwork

    def __getitem__(self, family: Family) -> OpenNetwork:
        return self.cnn if family == "cnn" else self.vit

    @property
    def words(self) -> str:
        """Both networks: `CNN = resnet18 (random weights), ViT = mixer_s16_224 (random weights)`."""
        return f"CNN = {self.cnn.words}, ViT = {self.vit.words}"


def _is_plain(value: object) -> bool:
    """Return whether a value is a finite number, a truth value or a short printable text."""
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT and value.isprintable()
    return isinstance(value, bool | int | float) and abs(value) < _LARGEST
