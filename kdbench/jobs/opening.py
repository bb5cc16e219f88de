"""Opens the images of a track for a command: builds what is missing, with a progress bar, or says what is lacking."""

from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from kdbench.errors import InputError
from kdbench.jobs.devices import cores
from kdbench.jobs.progress import TestSetProgress, roughly
from kdbench.plan.options import TestSetOptions
from kdbench.resources import cache_folder
from kdbench.spec import Track

if TYPE_CHECKING:
    from kdbench.data.cifar10 import Cifar10
    from kdbench.testsets.arrays import TestArrays
    from kdbench.testsets.picture_networks import PictureNetworks
    from kdbench.testsets.store import TestSetStore


def open_test_sets(
    track: Track, options: TestSetOptions, console: Console
) -> "tuple[Cifar10 | None, dict[str, TestArrays]]":
    """Open a track's test sets, building those that the cache lacks.

    Args:
        track: as it is run.
        options: where images and weights come from, and the device on which networks make test sets.
        console: shows a progress bar.

    Returns:
        The source of the images, None for generated ones, and the arrays by test set.

    Raises:
        InputError: networks have to make a test set, and neither a GPU nor the user's word for the CPU is there.
    """
    from kdbench.data.decoded import source_of
    from kdbench.testsets.build import build_test_sets
    from kdbench.testsets.store import TestSetStore

    source, networks = source_of(track, options.data_root, cache_folder()), _networks(options)
    if networks is None:
        _refuse_building(TestSetStore.of(track, cache_folder(), source=source), options.with_diagnostics)
    with TestSetProgress(console) as progress:
        arrays = build_test_sets(
            track,
            cache_folder(),
            source=source,
            workers=options.workers or cores(),
            diagnostics=options.with_diagnostics,
            progress=progress.advanced,
            networks=networks,
        )
    if networks is not None:
        networks.release()  # runs need the room
    return source, arrays


def _networks(options: TestSetOptions) -> "PictureNetworks | None":
    """Return the networks that make test sets; None where the device is a CPU that the user did not ask for by name."""
    import torch

    from kdbench.networks.device import choose_device
    from kdbench.testsets.fcn import load_segmenter
    from kdbench.testsets.picture_networks import PictureNetworks
    from kdbench.testsets.vgg import load_vgg

    device = choose_device(options.device)
    if device != "cuda" and not options.cpu_confirmed:
        return None
    return PictureNetworks(
        torch.device(device),
        make_segmenter=partial(load_segmenter, weights_dir=options.weights_dir),
        make_vgg=partial(load_vgg, weights_dir=options.weights_dir),
    )


def _refuse_building(store: "TestSetStore", diagnostics: bool) -> None:
    """Raise InputError with the expected time if networks have to make a test set that is not built."""
    from kdbench.jobs.cpu_time import building_seconds

    missing = store.missing_from_networks(diagnostics=diagnostics)
    if missing:
        names = ", ".join(test_set.name for test_set in missing)
        raise InputError(
            f"test sets {names} of track {store.track.name!r} are not built, and networks make them: give a GPU, or "
            f"build them on this CPU with --device cpu --yes, which takes about "
            f"{roughly(building_seconds(missing, store.track))}; or import them with `kdbench data import`"
        )
