"""The networks of a track, and the weights from which they start."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kdbench.spec.models import Several, SpecModel
from kdbench.spec.pairs import OpenPair
from kdbench.spec.vocabulary import FAMILIES, Family


class PretrainedFile(SpecModel):
    """A file in `benchmark/v1/weights`, and its SHA-256."""

    file: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BackboneSpec(SpecModel):
    """A timm model and how it is trained.

    Attributes:
        architecture: name of the timm model.
        arguments: of `timm.create_model`.
        cifar_stem: a 3x3 convolution of stride 1 without pooling as the first layer, for small images.
        weights: "timm" for weights from timm's hub.
        weights_sha256: of the weights from timm's hub; None if they are not pinned.
        pretrained: shipped weights; a run starts from the file whose position is its seed modulo their number. Without
            them and without weights from timm, the initial weights are random.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    cifar_stem: bool = False
    weights: Literal["timm"] | None = None
    weights_sha256: str | None = None
    pretrained: Several[PretrainedFile] = ()
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]

    @property
    def is_pretrained(self) -> bool:
        """Whether a network starts from weights that were trained before."""
        return self.weights is not None or bool(self.pretrained)

    def pretrained_for(self, seed: int) -> PretrainedFile:
        """Return the shipped weights from which the runs of a seed start; there must be some."""
        return self.pretrained[seed % len(self.pretrained)]

    @model_serializer(mode="wrap")
    def _pretrained_only_where_there_are_files(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `pretrained` if it is empty, so that tracks without it keep the digests from before the key."""
        dumped: dict[str, Any] = dump(self)
        if not self.pretrained:
            dumped.pop("pretrained", None)
        return dumped

    @model_validator(mode="after")
    def _weights_have_one_origin(self) -> Self:
        if self.weights is not None and self.pretrained:
            raise ValueError("the backbone has both `weights` and `pretrained`; delete one of them")
        files = [each.file for each in self.pretrained]
        if len(set(files)) != len(files):
            raise ValueError(f"pretrained has the files {', '.join(files)}; name none twice")
        return self


class Backbones(SpecModel):
    """The network of each family; `backbones[family]` gives one."""

    cnn: BackboneSpec
    vit: BackboneSpec

    @property
    def pairs(self) -> int:
        """The number of shipped pairs of pretrained weights; seed k starts from pair k modulo this number."""
        return min(len(self.cnn.pretrained), len(self.vit.pretrained))

    def __getitem__(self, family: Family) -> BackboneSpec:
        return self.cnn if family == "cnn" else self.vit

    def replaced_by(self, pair: OpenPair) -> "Backbones":
        """Return the networks of a pair, which are trained with the settings of the own network of their family."""
        return Backbones(
            **{
                family: BackboneSpec(
                    **pair[family].model_dump(),
                    learning_rate=self[family].learning_rate,
                    weight_decay=self[family].weight_decay,
                )
                for family in FAMILIES
            }
        )
