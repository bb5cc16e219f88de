"""Other networks than those of a track: boards of the open division, apart from the track and never official."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kdbench.errors import InputError
from kdbench.plan.options import RunOptions
from kdbench.plan.pairs import read_pair, with_pair
from kdbench.plan.planning import Plan, plan
from kdbench.spec import FAMILIES, OpenNetwork, OpenPair
from kdbench.testsets.spec import load_spec
from tests.planned_runs import described_here

TRACKS = load_spec().tracks
PAIR = "mobilenetv3_small_050:gmlp_ti16_224"
NETWORKS = OpenPair(
    cnn=OpenNetwork(architecture="mobilenetv3_small_050"),
    vit=OpenNetwork(architecture="gmlp_ti16_224", arguments={"img_size": 32}),
)


def options(out: Path, pair: str = PAIR, arguments: tuple[str, ...] = (), **more: Any) -> RunOptions:
    chosen: dict[str, Any] = {"methods": ("lm",), "device": "cpu", "out": out} | more
    return with_pair(RunOptions(**chosen), pair, arguments, "random")


def planned(out: Path, pair: str = PAIR, arguments: tuple[str, ...] = (), **more: Any) -> Plan:
    return plan(options(out, pair, arguments, **more), described_here)


def test_a_pair_names_its_networks_and_its_direction_in_either_order() -> None:
    assert read_pair(PAIR, (), "random", 32) == (NETWORKS, "cnn-to-vit")
    assert read_pair(":".join(reversed(PAIR.split(":"))), (), "random", 32) == (NETWORKS, "vit-to-cnn")


def test_a_network_for_one_size_is_built_for_that_of_the_track() -> None:
    texts = ("student.embed_dim=24", "student.depths=[1, 1, 1, 1]", "student.num_heads=[1, 2, 2, 4]")
    pair, _ = read_pair("resnet18:swin_tiny_patch4_window7_224", texts, "random", 224)
    assert pair.vit.arguments == {"embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4]}
    pair, _ = read_pair("resnet18:deit_tiny_patch16_224", ("student.patch_size=4",), "random", 32)
    assert pair.vit.arguments == {"img_size": 32, "patch_size": 4}
    assert pair.cnn.arguments == {}


def test_weights_are_random_or_those_of_timm_for_both() -> None:
    assert {network.weights for network in (NETWORKS.cnn, NETWORKS.vit)} == {None}
    pair, _ = read_pair("resnet18.a1_in1k:deit_tiny_patch16_224.fb_in1k", (), "timm", 224)
    assert {pair.cnn.weights, pair.vit.weights} == {"timm"}
    assert pair.cnn.words == "resnet18.a1_in1k (weights of timm)"


def test_a_pair_swaps_its_teacher_for_one_of_the_student_s_own_network(tmp_path: Path) -> None:
    runs = planned(tmp_path).runs
    assert {run.title for run in runs} == {
        "cnn teacher, seed 0",
        "vit teacher, seed 0",
        "independent cnn-to-vit, seed 0",
        "lm cnn-to-vit, seed 0",
        "lm vit-to-vit, seed 0",
    }
    assert {run.track.networks.cnn.architecture for run in runs} == {"mobilenetv3_small_050"}


def test_planted_cues_are_planted_in_the_network_named_first(tmp_path: Path) -> None:
    runs = planned(tmp_path, questions=("planted",)).runs
    assert {(run.family, run.teacher_bias) for run in runs if run.role == "teacher"} == {
        ("cnn", "shape"),
        ("cnn", "texture"),
    }
    assert {run.direction for run in runs if run.role == "student"} == {"cnn-to-vit"}


def test_both_directions_share_the_teachers(tmp_path: Path) -> None:
    there, back, both = (
        {run.run_id for run in planned(tmp_path, pair, directions=directions).runs if run.role == "teacher"}
        for pair, directions in (
            (PAIR, ()),
            (":".join(reversed(PAIR.split(":"))), ()),
            (PAIR, ("cnn-to-vit", "vit-to-cnn")),
        )
    )
    assert there == back == both
    assert len(both) == 2


def test_a_pair_is_apart_from_the_track_even_with_the_same_networks() -> None:
    own = {
        family: OpenNetwork(**TRACKS["cifar10-224"].backbones[family].model_dump(include=set(OpenNetwork.model_fields)))
        for family in FAMILIES
    }
    track = TRACKS["cifar10-224"]
    paired = track.with_pair(OpenPair(**own))
    assert paired.networks == track.backbones == paired.backbones
    assert paired.training_digest != track.training_digest == track.with_pair(None).training_digest
    assert paired.testsets_digest == track.testsets_digest


def test_no_run_of_a_pair_is_official_and_the_reason_names_networks_and_weights(tmp_path: Path) -> None:
    words = "CNN = mobilenetv3_small_050 (random weights), ViT = gmlp_ti16_224 (random weights, img_size=32)"
    assert planned(tmp_path).unofficial == (f"open division: {words}",)
    assert plan(RunOptions(methods=("lm",), device="cpu", out=tmp_path), described_here).unofficial == ()


def test_the_networks_of_a_pair_train_with_the_settings_of_their_family() -> None:
    for track in TRACKS.values():
        for family in FAMILIES:
            own, other = track.backbones[family], track.with_pair(NETWORKS).networks[family]
            assert (other.learning_rate, other.weight_decay) == (own.learning_rate, own.weight_decay)
            assert not other.is_pretrained


@pytest.mark.parametrize(
    ("pair", "arguments", "message"),
    [
        ("resnet18", (), "'resnet18' is not TEACHER:STUDENT, for example resnet18:deit_tiny_patch16_224"),
        ("resnet18:convnext_atto", (), r"two networks of one family \(CNN\); name a CNN, and a network with attention"),
        ("resnet18:deit_tiny_patch", (), "timm has no model 'deit_tiny_patch'; did you mean deit_tiny_patch16_224"),
        ("hf-hub:me/mine", (), "timm has no model 'hf-hub'"),
        (PAIR, ("patch_size=4",), "'patch_size=4' is not teacher.KEY=VALUE or student.KEY=VALUE"),
        (
            PAIR,
            ("student.checkpoint_path=/etc/passwd",),
            "arguments has the key 'checkpoint_path'; give an argument of",
        ),
        (PAIR, ("teacher.depth=3",), r"timm cannot build mobilenetv3_small_050 \(random weights, depth=3\): "),
        ("", ("student.patch_size=4",), "--pair-argument and --pair-weights need --pair"),
    ],
    ids=["one-name", "one-family", "unknown", "hub", "no-role", "reads-a-file", "not-its-argument", "no-pair"],
)
def test_a_wrong_pair_is_refused_in_a_sentence(
    pair: str, arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        options(tmp_path, pair, arguments)


@pytest.mark.parametrize(
    ("pair", "more", "message"),
    [
        (
            "inception_v3:deit_tiny_patch16_224",
            {},
            r"inception_v3 \(random weights\) cannot be used on the images of synthetic, 32 x 32 pixels: .*Kernel size",
        ),
        ("resnet18:levit_128s", {}, "LevitDistilled has 3 stages, and 4 are needed; name another network or track"),
        (PAIR, {"methods": ("cskd",)}, "'cskd' .* it reads `dense_logits`, which mobilenetv3_small_050 does not have"),
        (
            ":".join(reversed(PAIR.split(":"))),
            {"methods": ("capd",)},
            "'capd' cannot run vit-to-cnn .* it reads `attention`, which gmlp_ti16_224 does not have",
        ),
    ],
    ids=["too-small-images", "three-stages", "no-dense-logits", "no-attention"],
)
def test_what_networks_do_not_have_is_refused_before_the_run(
    pair: str, more: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        planned(tmp_path, pair, **more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"architecture": "local-dir:/tmp"},
        {"architecture": "x" * 200},
        {"arguments": {"pretrained": True}},
        {"arguments": {"depths": [[1]]}},
        {"arguments": {"drop_rate": float("nan")}},
        {"arguments": {f"key{number}": 1 for number in range(30)}},
        {"weights": "hub"},
    ],
)
def test_a_network_from_a_hostile_record_names_nothing_that_reads_files(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenNetwork(**({"architecture": "resnet18"} | wrong))
