"""Lists the files of pretrained weights that a track needs in addition to the shipped ones."""

from kdbench.networks.weights import WeightFile, backbone_files
from kdbench.spec import Track
from kdbench.testsets.kinds import kind_of


def needed_weights(track: Track) -> tuple[WeightFile, ...]:
    """Return the weights of a track's backbones, then those of the networks that make its test sets.

    The latter are not needed if the test sets are imported.
    """
    files = (file for test_set in track.test_sets for file in kind_of(test_set, track.data).weights())
    return (*backbone_files(track), *dict.fromkeys(files))
