"""Applies the options that change a track, and lists them as the reasons why runs of it are unofficial."""

from pathlib import Path
from typing import Any

from kdbench.errors import InputError
from kdbench.plan.options import RunOptions
from kdbench.spec import OPEN_DIVISION, TestSet, Track
from kdbench.testsets.spec import load_spec


def track_as_run(options: RunOptions) -> tuple[Track, tuple[str, ...]]:
    """Return the track as it is run, and the reasons why its runs are not official."""
    from kdbench.networks.weights import unpinned

    track, reasons = with_overrides(
        load_spec(options.spec).track(options.track).with_pair(options.pair),
        epochs=options.epochs,
        limit_test=options.limit_test,
        limit_train=options.limit_train,
        style=options.style,
    )
    if options.pair is not None:
        reasons = (*reasons, f"{OPEN_DIVISION}: {options.pair.words}")
    if options.spec is not None:
        reasons = (*reasons, f"--spec {options.spec.name}")
    if not options.sandbox:
        reasons = (*reasons, "--sandbox off")
    return track, (*reasons, *unpinned(track))


def with_overrides(
    track: Track,
    *,
    epochs: int | None = None,
    limit_test: int | None = None,
    limit_train: int | None = None,
    style: Path | None = None,
) -> tuple[Track, tuple[str, ...]]:
    """Return the track with these options applied, and the options as the reasons why its runs are unofficial.

    Args:
        track: of the spec.
        epochs: replaces the epochs of teachers and students.
        limit_test: maximum images per test set.
        limit_train: maximum images of the training set.
        style: picture in whose style the stylised set is rendered.

    Raises:
        InputError: a limit is smaller than the number of classes.
    """
    for option, limit in (("--limit-test", limit_test), ("--limit-train", limit_train)):
        if limit is not None and limit < track.data.num_classes:
            raise InputError(
                f"{option} {limit} leaves a class without any image; give at least {track.data.num_classes}"
            )
    reasons = []
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes["training"] = track.training.model_copy(update={"teacher_epochs": epochs, "student_epochs": epochs})
        reasons.append(f"--epochs {epochs}")
    if limit_test is not None:
        changes["test_sets"] = tuple(_limited(test_set, limit_test) for test_set in track.test_sets)
        reasons.append(f"--limit-test {limit_test}")
    if style is not None:
        test_sets = changes.get("test_sets", track.test_sets)
        changes["test_sets"] = tuple(_in_style(test_set, style) for test_set in test_sets)
        reasons.append(f"--style {style.name}")
    if limit_train is not None:
        changes["data"] = track.data.model_copy(update={"num_train": min(track.data.num_train, limit_train)})
        reasons.append(f"--limit-train {limit_train}")
    return track.model_copy(update=changes), tuple(reasons)


def _limited(test_set: TestSet, images: int) -> TestSet:
    return test_set.model_copy(update={"images": min(test_set.images, images)})


def _in_style(test_set: TestSet, picture: Path) -> TestSet:
    if "style" not in test_set.parameters:
        return test_set
    return test_set.model_copy(update={"parameters": {**test_set.parameters, "style": str(picture.resolve())}})
