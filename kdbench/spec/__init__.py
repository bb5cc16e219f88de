"""The benchmark's spec as validated, immutable types, its digests, and the reading of spec files."""

from kdbench.spec.digests import digest
from kdbench.spec.loading import SPEC_PATH, read_spec
from kdbench.spec.tracks import (
    Augmentation,
    Backbones,
    BackboneSpec,
    Data,
    Look,
    Resize,
    Scoring,
    Spec,
    TestSet,
    Track,
    TrackScoring,
    Training,
)
from kdbench.spec.vocabulary import (
    BIAS_AXES,
    DIRECTIONS,
    FAMILIES,
    Axis,
    Direction,
    Family,
    Precision,
    Primary,
    TeacherBias,
    families,
)

__all__ = [
    "BIAS_AXES",
    "DIRECTIONS",
    "FAMILIES",
    "SPEC_PATH",
    "Augmentation",
    "Axis",
    "BackboneSpec",
    "Backbones",
    "Data",
    "Direction",
    "Family",
    "Look",
    "Precision",
    "Primary",
    "Resize",
    "Scoring",
    "Spec",
    "TeacherBias",
    "TestSet",
    "Track",
    "TrackScoring",
    "Training",
    "digest",
    "families",
    "read_spec",
]
