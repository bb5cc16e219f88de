"""The benchmark's spec as validated, immutable types, and its three digests."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    Strict,
    model_serializer,
    model_validator,
)

from kdbench.errors import InputError
from kdbench.spec.backbones import Backbones
from kdbench.spec.digests import digest
from kdbench.spec.extending import with_base
from kdbench.spec.models import Several, Share, SpecModel
from kdbench.spec.pairs import OpenPair
from kdbench.spec.planted import Planted
from kdbench.spec.vocabulary import BIAS_AXES, Axis, Direction, Precision, Question

SYNTHETIC_CLASSES = 10
Positive = Annotated[int, Field(gt=0)]
Channels = Annotated[tuple[float, float, float], Strict(False)]
Spread = Annotated[float, Field(gt=0)]


class Look(SpecModel):
    """How visible the cues of synthetic images are, in grey levels; see `kdbench.data.synthetic.Saliences`."""

    contrast: Positive
    texture_gain: Positive
    noise_gain: Annotated[int, Field(ge=0)]


class Resize(SpecModel):
    """Images are stored at `stored` pixels per side and resized to the track's size on the device, batch by batch."""

    stored: Positive
    interpolation: Literal["bicubic"]
    antialias: bool


class Data(SpecModel):
    """Where a track's images come from.

    Attributes:
        source: where they come from: "folder" for somebody's own images, which no spec file may name.
        num_train: training images of a run.
        image_size: pixels per side of the images that networks see; without `resize` they are stored at that size.
        mean: of pixels in [0, 1] per channel, for normalisation.
        std: likewise.
        look: only for the source "synthetic".
        tables_sha256: of the file that synthetic images are drawn from; only for the source "synthetic".
        jpeg_sha256: `test_sha256` of the copy of CIFAR-10 that was compressed as JPEG, on a track of that copy; None on
            a track of the original.
        masks_sha256: of the file of object masks that test sets are made with; None without any.
        resize: only for images that are stored at another size than networks see.
    """

    source: Literal["synthetic", "cifar10", "folder"]
    num_classes: Annotated[int, Field(ge=2)]
    num_train: Positive
    image_size: Positive
    mean: Channels
    std: Annotated[tuple[Spread, Spread, Spread], Strict(False)]
    look: Look | None = None
    tables_sha256: str | None = None
    jpeg_sha256: str | None = None
    masks_sha256: str | None = None
    resize: Resize | None = None

    @property
    def stored_size(self) -> int:
        """Pixels per side of the stored images."""
        return self.resize.stored if self.resize else self.image_size

    @model_serializer(mode="wrap")
    def _keys_only_where_they_have_values(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out newer keys that are None, so that tracks without them keep the digests from before they existed."""
        dumped: dict[str, Any] = dump(self)
        for key in ("tables_sha256", "jpeg_sha256", "masks_sha256", "resize"):
            if dumped.get(key) is None:
                dumped.pop(key, None)
        return dumped

    @model_validator(mode="after")
    def _synthetic_has_a_look(self) -> Self:
        if (self.source == "synthetic") != (self.look is not None):
            raise ValueError("the source 'synthetic' needs the table `look`, and no other source may have it")
        if (self.source == "synthetic") != (self.tables_sha256 is not None):
            raise ValueError("the source 'synthetic' needs `tables_sha256`, and no other source may have it")
        if self.source == "synthetic" and (self.jpeg_sha256 or self.masks_sha256):
            raise ValueError("the source 'synthetic' may have neither `jpeg_sha256` nor `masks_sha256`")
        if self.source == "synthetic" and self.num_classes != SYNTHETIC_CLASSES:
            raise ValueError(
                f"num_classes is {self.num_classes}, but the source 'synthetic' has {SYNTHETIC_CLASSES} classes"
            )
        return self


class Augmentation(SpecModel):
    """Random changes of training images: a shift by up to `shift` pixels, and a flip with probability 1/2."""

    shift: Annotated[int, Field(ge=0)]
    flip: bool


class Training(SpecModel):
    """The budget and the settings of training, the same for every method: AdamW, linear warm-up, cosine to zero.

    Attributes:
        cpu_precision: of the forward passes on a CPU.
        cuda_precision: of the forward passes on a GPU.
        cpu_parameters: of the parameters that are trained on a CPU; those of batch normalisation are float32. With
            "bfloat16", which needs forward passes in "bfloat16", small updates are lost in rounding.
        cuda_parameters: likewise on a GPU.
    """

    teacher_epochs: Positive
    student_epochs: Positive
    batch_size: Positive
    warmup: Share
    gradient_clip: Annotated[float, Field(ge=0)]
    cpu_precision: Precision
    cuda_precision: Precision
    cpu_threads: Positive
    cpu_parameters: Precision = "float32"
    cuda_parameters: Precision = "float32"

    def precision_on(self, device_type: str) -> Precision:
        """Return the precision of forward passes on a device type, "cpu" or "cuda"."""
        return self.cuda_precision if device_type == "cuda" else self.cpu_precision

    def parameters_on(self, device_type: str) -> Precision:
        """Return the precision of the trained parameters on a device type, "cpu" or "cuda"."""
        return self.cuda_parameters if device_type == "cuda" else self.cpu_parameters

    @model_serializer(mode="wrap")
    def _parameters_only_where_they_are_not_float32(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out the default, so that tracks with it keep the digests from before the keys existed."""
        dumped: dict[str, Any] = dump(self)
        for key in ("cpu_parameters", "cuda_parameters"):
            if dumped.get(key) == "float32":
                del dumped[key]
        return dumped

    @model_validator(mode="after")
    def _parameters_are_no_coarser_than_forward_passes(self) -> Self:
        for device in ("cpu", "cuda"):
            if self.parameters_on(device) == "bfloat16" and self.precision_on(device) != "bfloat16":
                raise ValueError(
                    f"{device}_parameters is 'bfloat16', but {device}_precision is 'float32'; set it to 'bfloat16', too"
                )
        return self


class TestSet(SpecModel):
    """One array of test images. The accuracy on an axis is the mean over its sets that are not diagnostic.

    Sets of the axis "background" are evaluated, but no profile has this axis.

    Attributes:
        images: their number.
        parameters: of the manipulation.
        diagnostic: whether the set only explains scores and is part of none.
    """

    __test__ = False

    name: str
    axis: Axis
    images: Positive
    parameters: dict[str, int | float | str] = {}
    diagnostic: bool = False


class Scoring(SpecModel):
    """Thresholds that all tracks share; comments in `spec.toml` explain each.

    Ranks and intervals need at least three seeds: a variance needs two, and the jackknife leaves one out.
    """

    confidence: Share
    ranked_seeds: Annotated[int, Field(ge=3)]
    interval_seeds: Annotated[int, Field(ge=3)]
    competence_margin: Share
    competence_ratio: Share
    bootstrap_samples: Positive
    teacher_axis_gap: Share
    natural_margin: Share
    smallest_effect: Share
    collapse_entropy: Share
    class_coverage: Share
    conflict_decided: Share
    conflict_images: Positive
    least_errors: Positive
    least_both_wrong: Positive
    calibration_bins: Positive
    null_controls: dict[Question, Several[str]]


class TrackScoring(SpecModel):
    """The settings for scoring a track's boards, in addition to those that all tracks share.

    Attributes:
        teacher_margin: how far a teacher's clean accuracy may lie below that of the independent student.
        not_measurable: by direction, why the validity study found that it measures nothing; its rows have no rank.
    """

    teacher_margin: Share
    not_measurable: dict[Direction, str] = {}


class Track(SpecModel):
    """A data set, a pair of backbones and a budget.

    Attributes:
        name: its key in the spec.
        planted: the doses of its planted teachers; None for a track that has natural teachers alone.
        backbones: the track's own networks; `networks` are those that runs train.
        compile_on: device types on which networks are compiled unless the user decides otherwise. It is part of no
            digest, since a compiled run has an id of its own.
        pair: the networks of the open division that replace the track's own; None for the track itself. No spec file
            has it.
    """

    name: str
    summary: str
    directions: Several[Direction]
    planted: Planted | None = None
    scoring: TrackScoring
    data: Data
    augmentation: Augmentation
    backbones: Backbones
    training: Training
    test_sets: Several[TestSet]
    compile_on: Several[Literal["cpu", "cuda"]] = ()
    pair: OpenPair | None = None

    @property
    def networks(self) -> Backbones:
        """The networks that runs of the track train: its own, or those of a pair."""
        return self.backbones if self.pair is None else self.backbones.replaced_by(self.pair)

    def with_pair(self, pair: OpenPair | None) -> Self:
        """Return the track with the networks of a pair; None for the track's own."""
        return self.model_copy(update={"pair": pair})

    @model_validator(mode="after")
    def _directions_are_distinct(self) -> Self:
        directions = list(self.directions)
        if not directions or len(set(directions)) != len(directions):
            raise ValueError(f"directions is {directions}; give at least one value, and none twice")
        return self

    @model_validator(mode="after")
    def _test_sets_are_complete(self) -> Self:
        names = [test_set.name for test_set in self.test_sets]
        if len(set(names)) != len(names):
            raise ValueError("test_sets: two sets have the same name; give each set a name of its own")
        missing = {"clean", *BIAS_AXES} - {test_set.axis for test_set in self.test_sets if not test_set.diagnostic}
        if missing:
            raise ValueError(f"test_sets: the axis {min(missing)} has no set; add one that is not diagnostic")
        return self

    def primary_sets(self, axis: Axis) -> tuple[TestSet, ...]:
        """Return the sets whose mean is the accuracy on an axis, in the spec's order."""
        return tuple(test_set for test_set in self.test_sets if test_set.axis == axis and not test_set.diagnostic)

    @property
    def training_digest(self) -> str:
        """SHA-256 of everything that determines a weight: data, augmentation, networks, training, doses."""
        parts = {"data", "augmentation", "backbones", "training", "planted", *(["pair"] if self.pair else [])}
        return digest(self.model_dump(mode="json", include=parts, exclude={"data": {"masks_sha256"}}))

    @property
    def testsets_digest(self) -> str:
        """SHA-256 of everything that determines a test array: the test sets and the data that they are made from."""
        return digest(self.model_dump(mode="json", include={"test_sets", "data"}))


class Spec(SpecModel):
    """A version of the benchmark: the settings for scoring, and the tracks by name."""

    version: str
    scoring: Scoring
    tracks: dict[str, Track]

    @model_validator(mode="before")
    @classmethod
    def _tracks_are_whole(cls, raw: Any) -> Any:
        """Fill in what a track takes over from the one that it extends, and set its name to its key."""
        if not isinstance(raw, dict) or not isinstance(tracks := raw.get("tracks"), dict):
            return raw
        return raw | {"tracks": {name: _named(name, with_base(name, tracks)) for name in tracks}}

    def scoring_digest(self, track_name: str) -> str:
        """Return the SHA-256 of the settings for scoring a track's boards: those that all tracks share, and its own."""
        own = self.track(track_name).model_dump(mode="json", include={"scoring"})
        return digest({"scoring": self.scoring.model_dump(mode="json"), "track": own})

    def track(self, name: str) -> Track:
        """Return the track called `name`.

        Raises:
            InputError: there is no such track; the message names the existing ones.
        """
        if name not in self.tracks:
            raise InputError(f"unknown track {name!r}; this spec has: {', '.join(self.tracks)}")
        return self.tracks[name]


def _named(name: str, track: Any) -> Any:
    """Return a track of a spec file with its name.

    Raises:
        ValueError: it has a name already, or a pair.
    """
    if not isinstance(track, dict):
        return track
    if "name" in track:
        raise ValueError(f"tracks.{name}.name is not allowed, because a track's name is its key; delete the line")
    if "pair" in track:
        raise ValueError(f"tracks.{name}.pair is not allowed; name the networks in tracks.{name}.backbones")
    return {"name": name, **track}
