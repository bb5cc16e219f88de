"""Pretrained weights are what the spec and torchvision say they are, or one sentence says what is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kdbench.errors import DataError
from kdbench.networks import weights
from kdbench.networks.backbone import create_model
from kdbench.networks.models import check_weights, new_backbone
from kdbench.networks.weights import (
    FCN,
    VGG,
    WeightFile,
    backbone_file,
    checked,
    fetch,
    load_into,
    unpinned,
    weights_folder,
    weights_sha256,
)
from kdbench.spec import BackboneSpec, OpenNetwork, OpenPair, Track
from kdbench.testsets.spec import load_spec
from kdbench.testsets.weights import needed_weights
from tests.command_line import Command, assert_refused

PAPER = load_spec().track("cifar10-224")
SMALL_CNN = BackboneSpec(
    architecture="resnet18.a1_in1k",
    arguments={"channels": [8, 8, 8, 8]},
    weights="timm",
    learning_rate=1e-3,
    weight_decay=0.0,
)
SMALL_VIT = BackboneSpec(
    architecture="vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    arguments={"embed_dim": 12, "depth": 4, "num_heads": 3, "img_size": 32},
    weights="timm",
    learning_rate=1e-3,
    weight_decay=0.0,
)


def a_file(folder: Path, network: nn.Module, name: str = "line.pth") -> WeightFile:
    """A network's weights as a `.pth` file, and its pinned description."""
    path = folder / name
    torch.save(network.state_dict(), path)
    return WeightFile(
        name, "a test", "https://example.org/line.pth", path.stat().st_size / 1e6, weights_sha256(path)[:8]
    )


@pytest.fixture
def small(tmp_path: Path) -> Track:
    """The paper's track with small networks, whose "pretrained" weights lie in the test's folder."""
    backbones = PAPER.backbones.model_copy(update={"cnn": SMALL_CNN, "vit": SMALL_VIT})
    for spec in (SMALL_CNN, SMALL_VIT):
        model = create_model(spec.architecture, spec.arguments, num_classes=1000)
        save_file(model.state_dict(), tmp_path / backbone_file(spec).name)
    return PAPER.model_copy(update={"backbones": backbones})


def test_files_are_named_pinned_and_sized_as_torchvision_states() -> None:
    from torchvision.models import VGG19_Weights
    from torchvision.models.segmentation import FCN_ResNet101_Weights

    stated = ((VGG, VGG19_Weights.IMAGENET1K_V1), (FCN, FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1))
    for file, theirs in stated:
        assert file.address == theirs.url
        assert file.name == theirs.url.rsplit("/", 1)[1]
        assert file.name == f"{file.name.rsplit('-', 1)[0]}-{file.sha256}.pth"
        assert abs(file.megabytes - theirs.meta["_file_size"] * 2**20 / 1e6) < 0.05 * file.megabytes


def test_the_papers_track_needs_four_files_and_the_others_none() -> None:
    assert [file.name for file in needed_weights(PAPER)] == [
        "resnet50.a1_in1k.safetensors",
        "vit_base_patch16_224.augreg2_in21k_ft_in1k.safetensors",
        FCN.name,
        VGG.name,
    ]
    assert needed_weights(load_spec().track("synthetic")) == needed_weights(load_spec().track("cifar10-32")) == ()


def test_a_missing_file_is_named_with_its_origin_and_digest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"vgg19-dcbb9e9d\.pth.*not in .*https://.*548 MB, sha256 dcbb9e9d"):
        checked(VGG, tmp_path)


def test_a_download_cut_short_is_told_from_an_altered_file(tmp_path: Path) -> None:
    file = a_file(tmp_path, nn.Linear(1000, 10))
    whole = (tmp_path / file.name).read_bytes()
    (tmp_path / file.name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="download was interrupted"):
        checked(file, tmp_path)
    (tmp_path / file.name).write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(DataError, match=r"have the sha256 \w+\.\.\., expected"):
        checked(file, tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file = a_file(tmp_path, nn.Linear(5, 3))
    for other in (nn.Linear(5, 4), nn.Conv2d(1, 1, 1), nn.Sequential(nn.Linear(5, 3))):
        with pytest.raises(DataError, match="do not belong to"):
            load_into(other, tmp_path / file.name, ignored=lambda name: False)


@pytest.mark.parametrize("content", [b"", b"not a file of weights", b"PK\x03\x04 cut"])
def test_a_file_that_is_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "line.pth").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load_into(nn.Linear(5, 3), tmp_path / "line.pth", ignored=lambda name: False)


def test_weights_are_loaded_but_for_what_the_network_has_no_use_for(tmp_path: Path) -> None:
    network = nn.ModuleDict({"trunk": nn.Linear(3, 2), "head": nn.Linear(2, 9)})
    file = a_file(tmp_path, network)
    trunk = nn.ModuleDict({"trunk": nn.Linear(3, 2)})
    load_into(trunk, tmp_path / file.name, ignored=lambda name: name.startswith("head."))
    assert torch.equal(trunk.state_dict()["trunk.weight"], network.state_dict()["trunk.weight"])


@dataclass
class Server:
    """Serves one file on this machine, under any address, to its end or cut short; `requests` counts."""

    address: str
    content: bytes
    cut: bool = False
    requests: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(served.content)))
            self.end_headers()
            self.wfile.write(served.content[:10] if served.cut else served.content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        served = Server(f"http://127.0.0.1:{http.server_port}/line.pth", b"")
        Thread(target=http.serve_forever, daemon=True).start()
        yield served
        http.shutdown()


def put_on(server: Server, folder: Path) -> WeightFile:
    """The description of a small network's weights that the server has."""
    file = a_file(folder, nn.Linear(5, 3))
    server.content = (folder / file.name).read_bytes()
    return replace(file, origin=server.address)


def test_a_file_is_fetched_once_and_checked(server: Server, tmp_path: Path) -> None:
    file, folder = put_on(server, tmp_path), tmp_path / "weights"
    assert fetch(file, folder).read_bytes() == fetch(file, folder).read_bytes() == server.content
    assert server.requests == 1
    assert [path.name for path in folder.iterdir()] == [file.name]


def test_a_broken_connection_leaves_no_half_of_a_file(server: Server, tmp_path: Path) -> None:
    file = put_on(server, tmp_path)
    server.cut = True
    with pytest.raises(DataError, match=rf"cannot be fetched from {server.address}: .*--weights-dir"):
        fetch(file, tmp_path / "weights")
    assert list((tmp_path / "weights").iterdir()) == []


def test_what_comes_with_another_digest_is_not_kept(server: Server, tmp_path: Path) -> None:
    file = put_on(server, tmp_path)
    with pytest.raises(DataError, match=r"cannot be fetched .* has the sha256 \w+\.\.\., expected 00000000"):
        fetch(replace(file, sha256="0" * 8), tmp_path / "weights")
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_backbone_has_the_pretrained_trunk_and_a_classifier_of_its_own(small: Track, tmp_path: Path) -> None:
    check_weights(small, tmp_path)
    for family, classifier in (("cnn", "fc.weight"), ("vit", "head.weight")):
        spec = small.backbones[family]  # type: ignore[index]
        pretrained = create_model(spec.architecture, spec.arguments, num_classes=1000)
        pretrained.load_state_dict(load_file(tmp_path / backbone_file(spec).name))
        first, second = (
            new_backbone(small, family, seed=seed, weights_dir=tmp_path).model.state_dict()  # type: ignore[arg-type]
            for seed in (1, 2)
        )
        assert first[classifier].shape[0] == 10
        for name, expected in pretrained.state_dict().items():
            if not name.startswith(("fc.", "head.")):
                assert torch.equal(first[name], expected), name
        assert not torch.equal(first[classifier], second[classifier])


def test_all_weights_of_timm_but_the_classifier_s_are_loaded_into_any_network(tmp_path: Path) -> None:
    pair = OpenPair(
        cnn=OpenNetwork(architecture="convnext_atto.d2_in1k", weights="timm"),
        vit=OpenNetwork(architecture="edgenext_xx_small.in1k", weights="timm"),
    )
    track = PAPER.with_pair(pair)
    for family, norm in (("cnn", "head.norm.weight"), ("vit", "head.norm.weight")):
        published = create_model(pair[family].architecture, {}, num_classes=1000)  # type: ignore[index]
        nn.init.uniform_(published.get_parameter(norm))
        save_file(published.state_dict(), tmp_path / backbone_file(track.networks[family]).name)  # type: ignore[index]
        started = new_backbone(track, family, seed=1, weights_dir=tmp_path).model.state_dict()  # type: ignore[arg-type]
        assert started["head.fc.weight"].shape[0] == 10
        for name, expected in published.state_dict().items():
            assert name.startswith("head.fc.") or torch.equal(started[name], expected), name
    check_weights(track, tmp_path)
    assert len(unpinned(track)) == 2


def test_a_backbones_weights_of_another_shape_are_refused(small: Track, tmp_path: Path) -> None:
    wider = create_model("resnet18.a1_in1k", {"channels": [8, 8, 8, 9]}, num_classes=1000)
    save_file(wider.state_dict(), tmp_path / backbone_file(SMALL_CNN).name)
    with pytest.raises(DataError, match="does not hold weights of resnet18"):
        check_weights(small, tmp_path)


def test_a_backbones_file_cut_in_its_last_part_is_damaged(small: Track, tmp_path: Path) -> None:
    path = tmp_path / backbone_file(SMALL_VIT).name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=rf"{path.name} are damaged"):
        check_weights(small, tmp_path)


def test_runs_from_weights_without_a_pinned_digest_say_so(small: Track, tmp_path: Path) -> None:
    assert unpinned(small) == tuple(
        f"the spec pins no sha256 of the weights {backbone_file(spec).name}" for spec in (SMALL_CNN, SMALL_VIT)
    )
    pinned = {
        family: spec.model_copy(update={"weights_sha256": weights_sha256(tmp_path / backbone_file(spec).name)})
        for family, spec in (("cnn", SMALL_CNN), ("vit", SMALL_VIT))
    }
    track = small.model_copy(update={"backbones": small.backbones.model_copy(update=pinned)})
    assert unpinned(track) == ()
    check_weights(track, tmp_path)
    wrong = {"cnn": pinned["cnn"].model_copy(update={"weights_sha256": "0" * 64})}
    with pytest.raises(DataError, match="expected 0000"):
        check_weights(track.model_copy(update={"backbones": track.backbones.model_copy(update=wrong)}), tmp_path)


def test_nothing_is_fetched_into_a_folder_that_was_given(
    small: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_download", lambda *arguments: pytest.fail("fetched"))
    (tmp_path / backbone_file(SMALL_CNN).name).unlink()
    with pytest.raises(DataError, match=r"resnet18.a1_in1k.safetensors .*are not in"):
        check_weights(small, tmp_path)


def test_an_architecture_without_pretrained_weights_is_refused() -> None:
    for name in ("resnet50.nobody", "resnet9000"):
        with pytest.raises(DataError, match=f"no pretrained weights called '{name}'"):
            backbone_file(SMALL_CNN.model_copy(update={"architecture": name}))


def test_what_a_track_needs_is_listed_with_sizes_and_digests(kdbench: Command, tmp_path: Path) -> None:
    result = kdbench("data", "weights", "--weights-dir", str(tmp_path))
    assert result.returncode == 0
    for file in needed_weights(PAPER):
        assert file.name in result.stdout
        assert file.address in result.stdout
    assert "548.1 MB, missing" in result.stdout
    assert "dcbb9e9d..." in result.stdout


def test_without_a_connection_the_list_is_whole_and_one_sentence_follows(
    kdbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_connection(*_: object) -> Path:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(weights, "_fetched", no_connection)
    result = kdbench("data", "weights", "--fetch", "--weights-dir", str(tmp_path))
    assert all(f"{file.name}: " in result.stdout for file in needed_weights(PAPER))
    assert result.returncode == 2
    assert "Network is unreachable; get the file elsewhere" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_list_tells_a_file_that_is_not_the_weights_from_one_that_is(
    kdbench: Command, tmp_path: Path, small: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = backbone_file(SMALL_CNN)
    whole = (tmp_path / file.name).read_bytes()
    monkeypatch.setattr(
        "kdbench.testsets.weights.needed_weights", lambda track: (replace(file, sha256=sha256(whole).hexdigest()),)
    )
    contents = {
        "there": whole,
        "cut short": whole[: len(whole) // 2],
        "wrong digest": b"\0" * len(whole),
        "missing": None,
    }
    for condition, content in contents.items():
        folder = tmp_path / condition
        folder.mkdir()
        if content is not None:
            (folder / file.name).write_bytes(content)
        result = kdbench("data", "weights", "--weights-dir", str(folder))
        assert f" MB, {condition}\n" in result.stdout


def test_the_command_that_is_named_fetches_into_the_folder_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / VGG.name).write_bytes(b"half")
    for file in (VGG, FCN):
        with pytest.raises(DataError, match=f"with `kdbench data weights --fetch --weights-dir {tmp_path}`"):
            checked(file, tmp_path)
    monkeypatch.setenv("KDBENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="with `kdbench data weights --fetch`"):
        checked(VGG, weights_folder(None))


def test_a_file_in_the_folder_that_is_not_the_weights_is_refused(kdbench: Command, tmp_path: Path) -> None:
    path = tmp_path / backbone_file(PAPER.backbones.cnn).name
    path.write_bytes(b"half")
    result = kdbench("data", "weights", "--fetch", "--weights-dir", str(tmp_path))
    assert_refused(result, path.name, "download was interrupted")
