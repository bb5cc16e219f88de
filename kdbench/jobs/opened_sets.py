"""What one evaluation leaves to the next one in its process: verified test arrays, and features of networks.

All of it is determined by what it was made from, so a record is the same whatever was evaluated before it.
"""

from kdbench.data.cifar10 import Cifar10
from kdbench.data.decoded import source_of
from kdbench.evaluation.features import KeptFeatures
from kdbench.files import state_of_files
from kdbench.plan.context import RunContext
from kdbench.spec import Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.build import build_test_sets
from kdbench.testsets.store import TestSetStore

TestSets = dict[str, TestArrays]


class OpenedSets:
    """The test sets of the track that was evaluated last.

    Their files are known by the state that the file system gives them. If it is another one, they are verified anew.

    Attributes:
        features: of the networks that were evaluated last.
    """

    def __init__(self) -> None:
        self.features = KeptFeatures()
        self._key: tuple[object, ...] = ()
        self._sets: TestSets = {}

    def open(self, track: Track, context: RunContext) -> tuple[Cifar10 | None, TestSets]:
        """Return the source and the verified test sets of a track; see `build_test_sets`."""
        source = source_of(track, context.data_root, context.cache)
        key = self._key_of(track, context, source)
        if key != self._key or not self._sets:
            self._sets = {}  # frees the arrays of another track first
            self._sets = build_test_sets(track, context.cache, source=source, diagnostics=context.diagnostics)
            self._key = self._key_of(track, context, source)
        return source, self._sets

    def _key_of(self, track: Track, context: RunContext, source: Cifar10 | None) -> tuple[object, ...]:
        """Return what determines the test sets: the track, the source, and the files in the folders of the entries."""
        store = TestSetStore.of(track, context.cache, source=source)
        folders = [store.entry(test_set).folder for test_set in store.sets(diagnostics=context.diagnostics)]
        files = [path for folder in folders for path in sorted(folder.glob("*"))]
        return track, context.cache, source and source.test_sha256, context.diagnostics, state_of_files(files)
