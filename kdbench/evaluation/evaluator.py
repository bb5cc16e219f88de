"""Evaluates one run: the answers of its network, its teacher and its snapshots, and their similarity.

Only trusted code runs here: networks are built from the spec and get the weights that the training wrote.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from kdbench.data.synthetic import condition_objects
from kdbench.evaluation.answers import Logits, SetProgress, TakePooled, evaluate, load_network, no_progress
from kdbench.evaluation.features import KeptFeatures
from kdbench.evaluation.kept import read_logits, read_maps, write_logits, write_maps
from kdbench.evaluation.occlusion import (
    OcclusionMaps,
    first_occlusion_maps,
    map_similarity,
    mass_on_objects,
    occluded_rows,
)
from kdbench.evaluation.similarity import feature_similarity
from kdbench.networks.backbone import Backbone
from kdbench.records import WEIGHTS, Predictions, Snapshot, comparison_name, write_snapshots
from kdbench.records.summary import summarise
from kdbench.spec import Family, TeacherKind, Track
from kdbench.testsets.arrays import TestArrays
from kdbench.testsets.diagnostics import evaluated_sets


@dataclass(frozen=True)
class Evaluator:
    """Evaluates the networks of one run on the test sets of its track.

    Attributes:
        track: of the run.
        test_sets: by name, including the diagnostic ones if they are evaluated.
        device: on which to compute.
        folder: of the run's record, for logits and occlusion maps.
        features: of networks that were evaluated before. They save time, and change no result.
    """

    track: Track
    test_sets: Mapping[str, TestArrays]
    device: torch.device
    folder: Path
    features: KeptFeatures = field(default_factory=KeptFeatures)

    def network(self, family: Family, weights: Path) -> Backbone:
        """Return a network of the track with the weights in a file, in evaluation mode on the device."""
        return load_network(self.track, family, weights, self.device)

    def predictions(
        self, network: Backbone, teacher_logits: Mapping[str, Logits], progress: SetProgress
    ) -> Predictions:
        """Return the answers of a network on every test set, and write its logits.

        Args:
            network: of the run.
            teacher_logits: (n, C) logits of its teacher by test set; empty for a run without a teacher.
            progress: called before every test set.
        """
        take_pooled = self._take_pooled(network)
        predictions, logits = self._evaluate(network, self.test_sets, teacher_logits, progress, take_pooled)
        write_logits(self.folder, logits)
        return predictions

    def teacher_logits(self, family: Family, folder: Path) -> dict[str, Logits]:
        """Return a teacher's logits on every test set: those in its folder, and newly computed ones for other sets."""
        logits = read_logits(folder)
        missing = {name: arrays for name, arrays in self.test_sets.items() if len(logits.get(name, ())) != len(arrays)}
        if missing:
            teacher = self.network(family, folder / WEIGHTS)
            logits |= self._evaluate(teacher, missing, {}, no_progress)[1]
        return logits

    def scalars(self, network: Backbone, teachers: Mapping[TeacherKind, Path], *, occlusion: bool) -> dict[str, float]:
        """Return `Record.scalars` of a network; see `kdbench.evaluation.similarity`.

        Args:
            network: of the run.
            teachers: folders of the teachers to compare it with.
            occlusion: whether to compare occlusion maps, too, and write those of the network.
        """
        maps = self._occlusion_maps(network) if occlusion else None
        scalars = {} if maps is None else self._mass_on_objects(maps)
        for kind, folder in teachers.items():
            numbers = self._likeness(network, maps, self.network(kind.family, folder / WEIGHTS), folder)
            scalars |= {comparison_name(name, kind): value for name, value in numbers.items()}
        return scalars

    def snapshots(self, family: Family, weights: Sequence[tuple[int, Path]]) -> tuple[Snapshot, ...]:
        """Return the results of a student's snapshots on the primary sets, and write the predicted classes.

        Args:
            family: of the student.
            weights: step and file of each snapshot, in order.
        """
        if not weights:
            return ()
        primary = {entry.name: self.test_sets[entry.name] for entry in evaluated_sets(self.track, diagnostics=False)}
        answers = [self._evaluate(self.network(family, path), primary, {}, no_progress)[0] for _, path in weights]
        write_snapshots(self.folder, {name: np.stack([answer[name].label for answer in answers]) for name in primary})
        return tuple(
            Snapshot(step=step, test=summarise(answer)) for (step, _), answer in zip(weights, answers, strict=True)
        )

    def _evaluate(
        self,
        network: Backbone,
        test_sets: Mapping[str, TestArrays],
        teacher_logits: Mapping[str, Logits],
        progress: SetProgress,
        take_pooled: Mapping[str, TakePooled] = MappingProxyType({}),
    ) -> tuple[Predictions, dict[str, Logits]]:
        return evaluate(
            network,
            test_sets,
            self.track.data,
            device=self.device,
            precision=self.track.training.precision_on(self.device.type),
            teacher_logits=teacher_logits,
            progress=progress,
            take_pooled=take_pooled,
        )

    def _take_pooled(self, network: Backbone) -> dict[str, TakePooled]:
        """Return what keeps the features on clean images, if the forward passes on them have the precision of those."""
        if self.track.training.precision_on(self.device.type) != "float32":
            return {}
        return {self._clean_name: partial(self.features.keep, network, self._clean)}

    @property
    def _clean_name(self) -> str:
        return self.track.primary_sets("clean")[0].name

    @property
    def _clean(self) -> TestArrays:
        return self.test_sets[self._clean_name]

    def _occlusion_maps(self, network: Backbone) -> OcclusionMaps:
        """Compute the occlusion maps of the run's network, and write them."""
        maps = first_occlusion_maps(network, self._clean, self.track.data, self.device)
        write_maps(self.folder, maps)
        return maps

    def _mass_on_objects(self, maps: OcclusionMaps) -> dict[str, float]:
        """Return the share of a network's maps that lies on the objects, if the positions of the objects are known."""
        if self.track.data.source != "synthetic":
            return {}
        objects = condition_objects("clean", count=len(self._clean))
        return mass_on_objects(maps, objects[occluded_rows(self._clean)])

    def _likeness(
        self, network: Backbone, maps: OcclusionMaps | None, teacher: Backbone, folder: Path
    ) -> dict[str, float]:
        """Return the similarity of a network and a teacher; the teacher's maps are read from its folder if possible."""
        features = (self.features.of(each, self._clean, self.track.data, self.device) for each in (network, teacher))
        numbers = feature_similarity(*features)
        if maps is None:
            return numbers
        teacher_maps = read_maps(folder)
        if teacher_maps is None or teacher_maps.shape != maps.shape:
            teacher_maps = first_occlusion_maps(teacher, self._clean, self.track.data, self.device)
        return numbers | map_similarity(maps, teacher_maps)
