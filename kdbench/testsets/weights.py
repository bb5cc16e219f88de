"""Which files of pretrained weights a track needs beside those that ship."""

from kdbench.networks.weights import WeightFile, backbone_files
from kdbench.spec import Track
from kdbench.testsets.kinds import kind_of


def needed_weights(track: Track) -> tuple[WeightFile, ...]:
    """Return the files that a track's backbones start from, then those that its test sets are made with.

    The latter are not needed where the sets are imported.
    """
    files = (file for test_set in track.test_sets for file in kind_of(test_set, track.data).weights())
    return (*backbone_files(track), *dict.fromkeys(files))
