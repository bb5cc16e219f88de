"""Any network of timm has the fields of an output, read from its ordinary forward pass."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from kdbench.api import Shapes
from kdbench.networks.anatomy import family_of
from kdbench.networks.backbone import ALL_FIELDS, CLASSIFIER, Backbone, create_model
from kdbench.spec import Family

SIZE, CLASSES = 64, 10
TINY = {"img_size": SIZE, "embed_dim": 48, "depth": 5, "num_heads": 3}
CONVNEXT, EFFICIENTNET, MOBILENET = "convnext_atto", "efficientnet_b0", "mobilenetv3_small_050"
SWIN, MIXER, HYBRID = "swin_tiny_patch4_window7_224", "gmlp_ti16_224", "edgenext_xx_small"
DEIT, DISTILLED = "deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"
POOLED_VIT, NORM_AFTER_POOLING = "vit_base_patch16_siglip_gap_224", "beit_base_patch16_224"
ARGUMENTS: dict[str, dict[str, Any]] = {
    SWIN: {"img_size": SIZE, "embed_dim": 24, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4]},
    MIXER: {"img_size": SIZE},
    **dict.fromkeys((DEIT, DISTILLED, POOLED_VIT, NORM_AFTER_POOLING), TINY),
}
QUARTERS = ((48, 4, 4),) * 4
EXPECTED: dict[str, Shapes] = {
    CONVNEXT: Shapes("cnn", 320, (320, 2, 2), ((40, 16, 16), (80, 8, 8), (160, 4, 4), (320, 2, 2)), None, 0),
    EFFICIENTNET: Shapes("cnn", 1280, (1280, 2, 2), ((24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)), None, 0),
    MOBILENET: Shapes(
        "cnn",
        1024,
        (288, 2, 2),
        ((8, 16, 16), (16, 8, 8), (24, 4, 4), (288, 2, 2)),
        None,
        0,
        frozenset({"dense_logits"}),
    ),
    SWIN: Shapes("vit", 192, (192, 2, 2), ((24, 16, 16), (48, 8, 8), (96, 4, 4), (192, 2, 2)), None, 0),
    MIXER: Shapes("vit", 128, (128, 4, 4), ((128, 4, 4),) * 4, None, 0),
    DEIT: Shapes("vit", 48, (48, 4, 4), QUARTERS, (3, 17, 16), 1),
    DISTILLED: Shapes("vit", 48, (48, 4, 4), QUARTERS, (3, 18, 16), 2, frozenset({"classifier", "dense_logits"})),
    POOLED_VIT: Shapes("vit", 48, (48, 4, 4), QUARTERS, (3, 16, 16), 0),
    NORM_AFTER_POOLING: Shapes("vit", 48, (48, 4, 4), QUARTERS, None, 1),
    HYBRID: Shapes("vit", 168, (168, 2, 2), ((24, 16, 16), (48, 8, 8), (88, 4, 4), (168, 2, 2)), None, 0),
}


def a_network(network: str) -> Backbone:
    """A small network with random weights, in evaluation mode."""
    torch.manual_seed(0)
    model = create_model(network, ARGUMENTS.get(network, {}), num_classes=CLASSES)
    return Backbone(model, EXPECTED[network].family).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("network", list(EXPECTED))
@torch.no_grad()
def test_the_logits_are_those_of_a_plain_forward_pass_and_the_shapes_hold(network: str) -> None:
    backbone, expected = a_network(network), EXPECTED[network]
    plain = backbone.model(images())
    output = backbone(images(), ALL_FIELDS | CLASSIFIER)
    assert torch.equal(output.logits, plain)
    assert backbone.shapes(SIZE) == expected
    assert output.pooled.shape == (2, expected.pooled)
    assert output.feature_map.shape == (2, *expected.feature_map)
    assert [tuple(stage.shape[1:]) for stage in output.stages] == list(expected.stages)
    assert {field for field in ALL_FIELDS | CLASSIFIER if not hasattr(output, field)} == expected.missing | (
        set() if expected.attention else {"attention"}
    )
    if "classifier" not in expected.missing:
        torch.testing.assert_close(output.classifier(output.pooled), plain)


@pytest.mark.parametrize("network", [EFFICIENTNET, SWIN, MIXER, POOLED_VIT])
@torch.no_grad()
def test_where_positions_are_averaged_dense_logits_average_to_the_logits(network: str) -> None:
    output = a_network(network)(images(), ALL_FIELDS)
    torch.testing.assert_close(output.dense_logits.mean(dim=(2, 3)), output.logits)
    torch.testing.assert_close(output.feature_map.mean(dim=(2, 3)), output.pooled)


@torch.no_grad()
def test_a_norm_after_the_pooling_is_applied_at_every_position() -> None:
    for network in (CONVNEXT, NORM_AFTER_POOLING):
        backbone: Any = a_network(network)
        output = backbone(images(), ALL_FIELDS)
        position = output.feature_map[:, :, 1, 0]
        with_class_token = position[:, None].expand(-1, 2, -1)
        alone = position[:, :, None, None] if network == CONVNEXT else with_class_token
        expected = backbone.model.forward_head(alone)
        torch.testing.assert_close(output.dense_logits[:, :, 1, 0], expected)


@torch.no_grad()
def test_a_map_with_channels_last_is_turned_and_not_reshaped() -> None:
    backbone: Any = a_network(SWIN)
    features = backbone.model.forward_features(images())
    assert features.shape == (2, 2, 2, 192)
    output = backbone(images(), ALL_FIELDS)
    assert torch.equal(output.feature_map[:, :, 1, 0], features[:, 1, 0])
    torch.testing.assert_close(backbone.model.norm(output.stages[3].movedim(1, -1)), features)


@torch.no_grad()
def test_tokens_without_a_class_token_keep_all_patches_in_their_order() -> None:
    backbone: Any = a_network(MIXER)
    tokens = backbone.model.forward_features(images())
    assert tokens.shape == (2, 16, 128)
    output = backbone(images(), ALL_FIELDS)
    assert torch.equal(output.feature_map[:, :, 2, 1], tokens[:, 2 * 4 + 1])
    torch.testing.assert_close(backbone.model.norm(output.stages[3].flatten(2).transpose(1, 2)), tokens)


@torch.no_grad()
def test_the_stages_of_a_cnn_are_its_last_four_maps_and_those_of_tokens_its_quarters() -> None:
    for network, last in ((MOBILENET, "blocks.5"), (DEIT, "blocks.4"), (DISTILLED, "blocks.4")):
        backbone, kept = a_network(network), list[Tensor]()
        backbone.model.get_submodule(last).register_forward_hook(lambda _module, _inputs, out: kept.append(out))  # noqa: B023
        stage = backbone(images(), ALL_FIELDS).stages[3]
        out = kept[0] if kept[0].ndim == 4 else kept[0][:, -16:].transpose(1, 2).reshape(2, 48, 4, 4)
        assert torch.equal(stage, out)


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        *[(name, "cnn") for name in ("resnet18", "convnext_atto", "efficientnet_b0", "mobilenetv3_small_050")],
        *[(name, "cnn") for name in ("vgg11", "densenet121", "regnety_002", "convmixer_768_32", "resnet50_clip")],
        *[(name, "vit") for name in ("deit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mixer_s32_224")],
        *[
            (name, "vit")
            for name in ("resmlp_12_224", "pvt_v2_b0", "hiera_tiny_224", "mobilevit_xxs", "xcit_nano_12_p16_224")
        ],
    ],
)
def test_a_network_is_a_cnn_if_it_convolves_and_does_not_attend(architecture: str, family: Family) -> None:
    with torch.device("meta"):
        assert family_of(timm.create_model(architecture)) == family


@pytest.mark.parametrize(
    ("make", "family", "message"),
    [
        (lambda: timm.create_model("levit_128s"), "vit", "LevitDistilled has 3 stages, and 4 are needed"),
        (lambda: timm.create_model("convnext_atto"), "vit", "ConvNeXt counts as a CNN, and a ViT is needed there"),
        (lambda: timm.create_model("cait_xxs24_224"), "cnn", "Cait counts as a ViT, and a CNN is needed there"),
        (lambda: nn.Conv2d(3, 8, 3), "cnn", "Conv2d lacks forward_intermediates or forward_head or get_classifier"),
    ],
    ids=["three-stages", "cnn-as-vit", "vit-as-cnn", "not-of-timm"],
)
def test_a_network_whose_features_cannot_be_read_is_refused(
    make: Callable[[], nn.Module], family: Family, message: str
) -> None:
    with torch.device("meta"):
        model = make()
    with pytest.raises(ValueError, match=message):
        Backbone(model, family)
