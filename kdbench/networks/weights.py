"""Lists, fetches and verifies the pretrained weights that are not shipped with the benchmark.

All files are in one folder, with the names that `kdbench data weights` lists, whether they were fetched or copied there
by hand. It is the folder that the user gives with --weights-dir, or else a folder in the cache.
"""

import logging
import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pooch
import torch
from torch import Tensor, nn

from kdbench.errors import DataError, remedy
from kdbench.files import file_sha256
from kdbench.networks.backbone import create_model
from kdbench.resources import cache_folder
from kdbench.spec import BackboneSpec, Track

FROM_TIMM: Final = "timm"
FROM_TORCHVISION: Final = "torchvision"
BYTES_PER_PARAMETER = 4
_FETCH_AGAIN = "move the file elsewhere and fetch it again"
LEAST_SIZE = 0.9  # share of the expected size; the download of a smaller file was interrupted
FileCondition = Literal["missing", "cut short", "wrong digest", "there"]


@dataclass(frozen=True)
class WeightFile:
    """A file of pretrained weights.

    Attributes:
        name: of the file in the folder.
        purpose: of the weights, in words.
        origin: an address, or `hub:` and a repository of the Hugging Face hub, or `torchvision:` and the name of the
            weights in torchvision.
        megabytes: approximate size (10^6 bytes).
        sha256: of the file, or its first digits; None if it is not pinned.
    """

    name: str
    purpose: str
    origin: str
    megabytes: float
    sha256: str | None = None

    @property
    def address(self) -> str:
        """The address of the origin, for people; torchvision provides the address of its weights."""
        scheme, _, name = self.origin.partition(":")
        if scheme != FROM_TORCHVISION:
            return self.origin
        from torchvision.models import get_weight

        return str(get_weight(name).url)


# Names, sizes and first digits of SHA-256 as torchvision states them; see tests/networks/test_weights.py.
FCN: Final = WeightFile(
    name="fcn_resnet101_coco-7ecb50ca.pth",
    purpose="object masks of the shape and texture sets",
    origin="torchvision:FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1",
    megabytes=207.7,
    sha256="7ecb50ca",
)
VGG: Final = WeightFile(
    name="vgg19-dcbb9e9d.pth",
    purpose="texture synthesis and stylisation",
    origin="torchvision:VGG19_Weights.IMAGENET1K_V1",
    megabytes=548.1,
    sha256="dcbb9e9d",
)


def weights_folder(weights_dir: Path | None) -> Path:
    """Return the folder of the pretrained weights: the one that the user gave, or else `weights` in the cache."""
    return weights_dir or cache_folder() / "weights"


def backbone_files(track: Track) -> tuple[WeightFile, ...]:
    """Return the weights files of a track's backbones that timm provides."""
    specs = (track.networks.cnn, track.networks.vit)
    return tuple(backbone_file(spec) for spec in specs if spec.weights == FROM_TIMM)


def unpinned(track: Track) -> tuple[str, ...]:
    """Return reasons why the runs of a track are not official: the weights whose digests the spec does not pin."""
    return tuple(
        f"the spec pins no sha256 of the weights {file.name}" for file in backbone_files(track) if file.sha256 is None
    )


def backbone_file(spec: BackboneSpec) -> WeightFile:
    """Return the weights file of a backbone that timm provides; DataError if timm has no such weights."""
    import timm

    config = timm.get_pretrained_cfg(spec.architecture) if timm.is_model_pretrained(spec.architecture) else None
    if config is None or not config.hf_hub_id:
        raise DataError(
            f"timm has no pretrained weights called {spec.architecture!r}; name one of timm.list_pretrained(), or use "
            "random weights"
        )
    with torch.device("meta"):
        model = create_model(
            spec.architecture, spec.arguments, num_classes=config.num_classes, cifar_stem=spec.cifar_stem
        )
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return WeightFile(
        name=f"{spec.architecture}.safetensors",
        purpose=f"pretrained weights of {spec.architecture.partition('.')[0]}",
        origin=f"hub:{config.hf_hub_id}",
        megabytes=parameters * BYTES_PER_PARAMETER / 1e6,
        sha256=spec.weights_sha256,
    )


def condition_of(file: WeightFile, folder: Path) -> FileCondition:
    """Return the condition of a file in a folder; DataError if it cannot be read."""
    path = folder / file.name
    if not path.is_file():
        return "missing"
    if path.stat().st_size / 1e6 < LEAST_SIZE * file.megabytes:
        return "cut short"
    if file.sha256 is not None and not weights_sha256(path).startswith(file.sha256):
        return "wrong digest"
    return "there"


def checked(file: WeightFile, folder: Path) -> Path:
    """Return the path of a file in a folder; DataError if it is missing, incomplete or not the pinned one."""
    path, condition, command = folder / file.name, condition_of(file, folder), _fetching_into(folder)
    if condition == "missing":
        raise DataError(
            f"weights {file.name} ({file.purpose}) are not in {folder}; fetch them with {command}, or get "
            f"{file.address} ({file.megabytes:.0f} MB, sha256 {file.sha256 or 'not pinned'}) and put it there"
        )
    if condition == "cut short":
        raise DataError(
            f"weights {path} have {path.stat().st_size / 1e6:.1f} MB of about {file.megabytes:.0f} MB, since their "
            f"download was interrupted; move the file elsewhere and fetch it again with {command}"
        )
    if condition == "wrong digest":
        raise DataError(
            f"weights {path} have the sha256 {weights_sha256(path)[:16]}..., expected {str(file.sha256)[:16]}...; "
            f"move the file elsewhere and fetch it again with {command}"
        )
    return path


def _fetching_into(folder: Path) -> str:
    """Return the command that fetches weights into a folder."""
    given = "" if folder == cache_folder() / "weights" else f" --weights-dir {folder}"
    return f"`kdbench data weights --fetch{given}`"


def weights_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of weights; DataError if it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def fetch(file: WeightFile, folder: Path) -> Path:
    """Return the path of a file in a folder, after fetching it if it is missing.

    Raises:
        DataError: the file cannot be fetched, or the existing file is not the right one.
    """
    path = folder / file.name
    if not path.exists():
        _download(file, path)
    return checked(file, folder)


def fetch_or_check(file: WeightFile, weights_dir: Path | None) -> Path:
    """Return the path of a verified file, after fetching it into the cache if it is missing there.

    Args:
        file: the weights.
        weights_dir: the folder that the user gave, into which nothing is fetched; None for the folder in the cache.

    Raises:
        DataError: the file is missing and cannot be fetched, or the existing file is not the right one.
    """
    return (fetch if weights_dir is None else checked)(file, weights_folder(weights_dir))


def _download(file: WeightFile, path: Path) -> None:
    """Fetch a file into a temporary folder and move it to its place, so that it is never incomplete there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as folder:
            shutil.move(_fetched(file, Path(folder)), path)
    except Exception as error:  # the clients raise errors of many types
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"weights {file.name} cannot be fetched from {file.address}: {reason}; get the file elsewhere and give its "
            f"folder with --weights-dir"
        ) from error


def _fetched(file: WeightFile, folder: Path) -> Path:
    scheme, _, repository = file.origin.partition(":")
    if scheme == "hub":
        from huggingface_hub import hf_hub_download

        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it would print each of its attempts
        return Path(hf_hub_download(repository, "model.safetensors", local_dir=folder))
    pooch.get_logger().setLevel("WARNING")
    fetched = Path(pooch.retrieve(file.address, known_hash=None, fname=file.name, path=folder, progressbar=True))
    digest = weights_sha256(fetched)
    if not digest.startswith(
        file.sha256 or ""
    ):  # torchvision publishes only the first digits, which pooch cannot compare
        raise ValueError(f"the downloaded file has the sha256 {digest[:16]}..., expected {str(file.sha256)[:16]}...")
    return fetched


def load_into(network: nn.Module, path: Path, *, ignored: Callable[[str], bool]) -> None:
    """Load a `.pth` file into a network.

    Args:
        network: of the weights.
        path: of the file.
        ignored: whether a tensor of this name may be in the file and not in the network.

    Raises:
        DataError: the file is damaged, or belongs to another network.
    """
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({name: tensor for name, tensor in state.items() if not ignored(name)})
    except OSError as error:
        raise DataError(f"weights {path} cannot be read: {error}; {remedy(error, _FETCH_AGAIN)}") from error
    except (EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"weights {path} are damaged ({type(error).__name__}); {_FETCH_AGAIN}") from error
    except Exception as error:  # the type of the error depends on which part of the file is damaged
        raise DataError(
            f"weights {path} are damaged or do not belong to {type(network).__name__}; {_FETCH_AGAIN}"
        ) from error
