"""Random teachers: networks that were never trained, to measure what a method changes without a teacher's knowledge."""

from pathlib import Path

import torch

from kdbench.networks.models import head_seed, new_backbone, state_digest, write_weights
from kdbench.records import WEIGHTS
from kdbench.records.environment import describe_environment
from kdbench.spec import UNTRAINED, Family, TeacherBias, Track
from kdbench.training.outcome import TrainingOutcome, write_outcome


def keep_untrained(
    track: Track,
    family: Family,
    *,
    stand_in_for: TeacherBias,
    seed: int,
    folder: Path,
    device: str,
    weights_dir: Path | None = None,
    command: str = "",
) -> TrainingOutcome:
    """Write a network in its state before any training, and its outcome.

    Its trunk has the track's pretrained weights, if there are any. Its classifier is random; it differs between biases
    and between seeds, and from the initial classifiers of all teachers and students.

    Args:
        track: of the spec.
        family: of the network.
        stand_in_for: the bias of the teacher that it replaces.
        seed: of the run.
        folder: for weights and outcome.
        device: "cpu" or "cuda", for the record.
        weights_dir: folder of pretrained weights that are not shipped; None for the folder in the cache.
        command: the command line, for the record.
    """
    classifier = head_seed(track.name, UNTRAINED, family, seed, stand_in_for)
    backbone = new_backbone(track, family, seed=classifier, number=seed, weights_dir=weights_dir)
    write_weights(folder / WEIGHTS, backbone.model)
    outcome = TrainingOutcome(
        status="ok",
        parameters=sum(parameter.numel() for parameter in backbone.parameters()),
        weights=state_digest(backbone.model),
        environment=describe_environment(torch.device(device), track.training.precision_on(device), command),
    )
    write_outcome(folder, outcome)
    return outcome
