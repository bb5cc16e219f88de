"""Makes the profile of a network: its answers on the test sets, measured as those of the networks of the boards are."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import torch
from torch import nn

from kdbench.errors import InputError
from kdbench.evaluation.answers import evaluate
from kdbench.networks.given import GivenNetwork, NetworkInput
from kdbench.plan.options import TestSetOptions
from kdbench.profiling.class_outputs import Classes, known_outputs, outputs_by_class
from kdbench.profiling.images import ProfileImages, own_images, track_images
from kdbench.profiling.neighbours import board_networks
from kdbench.profiling.network_profile import NetworkProfile
from kdbench.records import Predictions
from kdbench.scoring.arms import AxisScore, Profile
from kdbench.scoring.estimates import Undefined
from kdbench.scoring.measured import measure
from kdbench.scoring.profiles import conflict_swing, profile_of
from kdbench.scoring.resampling import Resampler
from kdbench.spec import Track
from kdbench.testsets.arrays import array_digests
from kdbench.testsets.own_images import WITH_MASKS
from kdbench.testsets.spec import load_spec

OWN_TRACK: Final = "cifar10-224"  # gives the size of somebody's own images, and the parameters of their test sets
NEEDS_MASKS: Final = Undefined(reason="it needs the objects' masks; give their folder with `masks` (--masks)")
Inputs = NetworkInput | Literal["model", "track"]


def profile(
    model: nn.Module,
    *,
    track: str | None = None,
    classes: Classes | None = None,
    inputs: Inputs | None = None,
    name: str | None = None,
    data: str | Path | None = None,
    masks: str | Path | None = None,
    results: str | Path | None = None,
    limit_test: int | None = None,
    data_root: str | Path | None = None,
) -> NetworkProfile:
    """Return the bias profile of any network, on the test sets of a track or on those of one's own images.

    The network is evaluated where it is, on its device, in evaluation mode and without gradients; it does not change.

    Examples:
        >>> import timm, kdbench
        >>> network = timm.create_model("resnet18", num_classes=10)
        >>> kdbench.profile(network, track="synthetic", inputs="track", limit_test=20).classes
        10

    Args:
        model: maps (B, 3, H, W) float images to (B, N) logits.
        track: name of a track; by default "synthetic", and with `data` "cifar10-224", whose size and kinds of test sets
            are used ("cifar10-32" for images of 32 pixels).
        classes: the outputs of the network that mean each class of the test images, by name or in order; None if its
            outputs are the classes, in order. For a network of 1,000 outputs and folders that are named by the WordNet
            ids of ImageNet, such as n01440764, it may be None, too. With several outputs, their probabilities are
            averaged.
        inputs: the images that the network expects: "model" for what timm names for it (the default for a model of
            timm), "track" for those of the test images (the default for others), or a `NetworkInput`.
        name: of the network, for people.
        data: folder of one's own images, `CLASS/*.jpg` or `train/CLASS/*.jpg` (`test` and `val` are preferred to
            `train`), of which at most `limit_test`, 2,000 by default, are used.
        masks: folder of the objects' masks for `data`, PNG files with the names of the images, white on the object. The
            axes shape and texture and the cue conflict need them.
        results: folder of records, whose networks on the same test sets are shown beside.
        limit_test: maximum images per test set.
        data_root: folder that holds CIFAR-10; None to download it.

    Returns:
        A `NetworkProfile`. Printed, it is a text with a chart; `model_dump_json()` gives all numbers.

    Raises:
        InputError: an argument is wrong, the network fails, or it does not return finite logits for the classes.
    """
    options = TestSetOptions(
        track=track or (OWN_TRACK if data else "synthetic"),
        limit_test=limit_test,
        data_root=Path(data_root) if data_root else None,
    )
    return profile_with_options(
        model,
        options,
        classes=classes,
        inputs=inputs,
        name=name or type(model).__name__,
        data=Path(data) if data else None,
        masks=Path(masks) if masks else None,
        results=Path(results) if results else None,
    )


def profile_with_options(
    model: nn.Module,
    options: TestSetOptions,
    *,
    classes: Classes | None,
    inputs: Inputs | None,
    name: str,
    data: Path | None,
    masks: Path | None,
    results: Path | None,
) -> NetworkProfile:
    """Return a profile; see `profile`. The options say which test sets are opened, and how missing ones are built."""
    if masks is not None and data is None:
        raise InputError("masks are for one's own images; give their folder with `data` (--data), too")
    spec = load_spec(options.spec)
    images = own_images(options, spec, data, masks) if data else track_images(options, spec)
    expected, count = _expected(model, inputs, images.track), len(images.class_names)
    outputs = outputs_by_class(classes, images.class_names) if classes is not None else None
    network = GivenNetwork(model, expected, count, outputs, known_outputs(images.class_names))
    run = measure(_predictions(network, images), images.track, Resampler(spec.scoring.bootstrap_samples))
    measured = _with_reasons(profile_of({0: run}, count, spec.scoring), images.track)
    arrays = array_digests(images.test_sets)
    neighbours = board_networks(results, spec, arrays, measured) if results else ()
    alone = f"No network in {results} was evaluated on these test sets." if results and not neighbours else ""
    return NetworkProfile(
        network=name,
        images=images.origin,
        classes=count,
        expected=expected,
        arrays=arrays,
        profile=measured,
        swing=conflict_swing(run, spec.scoring),
        notes=(*images.notes, alone) if alone else images.notes,
        neighbours=neighbours,
    )


def _expected(model: nn.Module, inputs: Inputs | None, track: Track) -> NetworkInput:
    """Return the images that a network gets."""
    if isinstance(inputs, NetworkInput):
        return inputs
    if inputs not in (None, "model", "track"):
        raise InputError(f'`inputs` is {inputs!r}; give "model", "track" or a NetworkInput')
    of_timm = None if inputs == "track" else NetworkInput.of_timm(model)
    if inputs == "model" and of_timm is None:
        raise InputError(f'timm names no images for {type(model).__name__}; give "track" or a NetworkInput as `inputs`')
    return of_timm or NetworkInput.of_track(track.data)


def _predictions(network: GivenNetwork, images: ProfileImages) -> Predictions:
    """Return the answers of a network on every test set; the network is as it was afterwards."""
    changes = {"mean": network.expected.mean, "std": network.expected.std}
    with _in_evaluation_mode(network):
        predictions, _ = evaluate(
            network,
            images.test_sets,
            images.track.data.model_copy(update=changes),
            device=_device_of(network),
            precision="float32",
            teacher_logits={},
        )
    return predictions


def _device_of(network: nn.Module) -> torch.device:
    tensor = next(chain(network.parameters(), network.buffers()), None)
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def _in_evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode until the end of `with`; then every module has its own mode again."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _with_reasons(profile: Profile, track: Track) -> Profile:
    """Return a profile that says of each axis without a test set what the axis needs."""
    lacking = [axis for axis in WITH_MASKS if axis in profile.axes and not track.primary_sets(axis)]
    reason = AxisScore(accuracy=NEEDS_MASKS, bias=NEEDS_MASKS, ratio=NEEDS_MASKS)
    return profile.model_copy(update={"axes": profile.axes | dict.fromkeys(lacking, reason)})
