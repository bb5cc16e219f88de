"""Backbones are plain timm models seen through one set of names."""

import copy
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from kdbench.api import Output, Shapes
from kdbench.networks.backbone import ALL_FIELDS, Backbone, create_model
from kdbench.spec import Family
from kdbench.testsets.spec import load_spec

COMPACT: list[tuple[str, Family]] = [
    ("synthetic", "cnn"),
    ("synthetic", "vit"),
    ("cifar10-32", "cnn"),
    ("cifar10-32", "vit"),
]
EXPECTED = {
    ("synthetic", "cnn"): Shapes(
        "cnn", 128, (128, 4, 4), ((16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4)), None, 0
    ),
    ("synthetic", "vit"): Shapes("vit", 96, (96, 8, 8), ((96, 8, 8),) * 4, (3, 65, 32), 1),
    ("cifar10-32", "cnn"): Shapes(
        "cnn", 256, (256, 4, 4), ((32, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4)), None, 0
    ),
    ("cifar10-32", "vit"): Shapes("vit", 192, (192, 8, 8), ((192, 8, 8),) * 4, (3, 65, 64), 1),
    ("cifar10-224", "cnn"): Shapes(
        "cnn", 2048, (2048, 7, 7), ((256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)), None, 0
    ),
    ("cifar10-224", "vit"): Shapes("vit", 768, (768, 14, 14), ((768, 14, 14),) * 4, (12, 197, 64), 1),
}


def a_backbone(track: str, family: Family) -> Backbone:
    """A randomly initialised backbone of the shipped spec."""
    spec = load_spec().track(track).backbones[family]
    torch.manual_seed(0)
    model = create_model(spec.architecture, spec.arguments, num_classes=10, cifar_stem=spec.cifar_stem)
    return Backbone(model, family)


def images(size: int = 32, count: int = 3) -> Tensor:
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("track", "family"), list(EXPECTED))
def test_the_shapes_are_the_documented_ones(track: str, family: Family) -> None:
    with torch.device("meta"):  # shapes alone, so that the largest network costs nothing
        backbone = a_backbone(track, family)
    assert backbone.shapes(load_spec().track(track).data.image_size) == EXPECTED[track, family]


@pytest.mark.parametrize(("track", "family"), COMPACT)
def test_every_field_has_the_shape_that_is_announced(track: str, family: Family) -> None:
    backbone, expected = a_backbone(track, family), EXPECTED[track, family]
    output = backbone(images(), ALL_FIELDS)
    assert output.logits.shape == (3, 10)
    assert output.pooled.shape == (3, expected.pooled)
    assert output.feature_map.shape == (3, *expected.feature_map)
    assert tuple(tuple(stage.shape) for stage in output.stages) == tuple((3, *stage) for stage in expected.stages)
    assert hasattr(output, "attention") == (expected.attention is not None)
    if expected.attention is not None:
        assert [tuple(part.shape) for part in output.attention] == [(3, *expected.attention)] * 3


@pytest.mark.parametrize(("track", "family"), COMPACT)
def test_the_classifier_maps_pooled_features_to_the_logits(track: str, family: Family) -> None:
    output = a_backbone(track, family).eval()(images(), frozenset({"pooled", "classifier"}))
    torch.testing.assert_close(output.classifier(output.pooled), output.logits)
    with pytest.raises(AttributeError, match='`stages` was not computed: add "stages" to `needs`'):
        _ = output.stages


@pytest.mark.parametrize(("track", "family"), COMPACT)
def test_asking_for_features_changes_no_logit(track: str, family: Family) -> None:
    backbone = a_backbone(track, family).eval()
    plain = copy.deepcopy(backbone.model)
    for module in plain.modules():
        module._forward_hooks.clear()
    expected = plain(images())
    torch.testing.assert_close(backbone(images()).logits, expected, rtol=0, atol=0)
    torch.testing.assert_close(backbone(images(), ALL_FIELDS).logits, expected, rtol=0, atol=0)


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_parameters_are_those_of_plain_timm(family: Family) -> None:
    spec = load_spec().track("cifar10-224").backbones[family]
    with torch.device("meta"):
        plain = timm.create_model(spec.architecture, pretrained=False, num_classes=10)
        ours = a_backbone("cifar10-224", family).model
    assert [(name, p.shape) for name, p in ours.named_parameters()] == [
        (name, p.shape) for name, p in plain.named_parameters()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_the_large_backbones_compute_what_plain_timm_computes(family: Family) -> None:
    spec = load_spec().track("cifar10-224").backbones[family]
    torch.manual_seed(0)
    plain: Any = timm.create_model(spec.architecture, pretrained=False, num_classes=10).eval()
    backbone = a_backbone("cifar10-224", family).eval()
    with torch.no_grad():
        torch.testing.assert_close(backbone(images(224, 1), ALL_FIELDS).logits, plain(images(224, 1)), rtol=0, atol=0)


@pytest.mark.parametrize(("track", "family"), COMPACT)
def test_fields_that_nobody_needs_are_not_computed(track: str, family: Family) -> None:
    backbone = a_backbone(track, family)
    assert vars(backbone(images())).keys() == vars(Output(images())).keys()
    alone = backbone(images(), frozenset({"pooled"}))
    assert alone.pooled is not None
    for field in ("feature_map", "stages", "attention"):
        with pytest.raises(AttributeError, match=f'add "{field}" to `needs`'):
            getattr(alone, field)


@pytest.mark.parametrize(("track", "family"), COMPACT)
def test_the_classifier_reads_the_pooled_vector(track: str, family: Family) -> None:
    backbone: Any = a_backbone(track, family).eval()
    output = backbone(images(), ALL_FIELDS)
    torch.testing.assert_close(backbone.model.get_classifier()(output.pooled), output.logits)


def test_a_cnn_pools_its_feature_map() -> None:
    output = a_backbone("synthetic", "cnn").eval()(images(), ALL_FIELDS)
    torch.testing.assert_close(output.feature_map.mean(dim=(2, 3)), output.pooled)
    torch.testing.assert_close(output.stages[3], output.feature_map)


def test_the_dense_logits_of_a_cnn_average_to_its_logits() -> None:
    output = a_backbone("synthetic", "cnn").eval()(images(), ALL_FIELDS)
    torch.testing.assert_close(output.dense_logits.mean(dim=(2, 3)), output.logits)


def test_the_dense_logits_of_a_vit_are_its_classifier_on_every_patch() -> None:
    backbone: Any = a_backbone("synthetic", "vit").eval()
    output = backbone(images(), ALL_FIELDS)
    place = backbone.model.get_classifier()(output.feature_map[:, :, 2, 5])
    torch.testing.assert_close(output.dense_logits[:, :, 2, 5], place)


def test_patch_tokens_lie_on_the_grid_in_the_order_of_the_image() -> None:
    """With the blocks switched off a token knows its own patch alone, so a change of one patch shows in one place."""
    backbone: Any = a_backbone("synthetic", "vit").eval()
    backbone.model.blocks = torch.nn.Sequential(*(torch.nn.Identity() for _ in range(4)))
    before = images(count=1)
    after = before.clone()
    after[:, :, 2 * 4 : 3 * 4, 5 * 4 : 6 * 4] += 1
    maps = [backbone(x, frozenset({"feature_map"})).feature_map for x in (before, after)]
    moved = (maps[0] - maps[1]).abs().sum(dim=1)[0] > 1e-6
    assert moved.nonzero().tolist() == [[2, 5]]


def test_queries_keys_and_values_give_the_attention_that_the_block_computed() -> None:
    backbone: Any = a_backbone("synthetic", "vit").eval()
    attention = backbone.model.blocks[-1].attn
    seen: list[Tensor] = []
    attention.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    q, k, v = backbone(images(), ALL_FIELDS).attention
    mixed = (q @ k.transpose(-2, -1) * attention.scale).softmax(-1) @ v
    torch.testing.assert_close(attention.proj(mixed.transpose(1, 2).flatten(2)), seen[0])


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_gradient_flows_through_every_field(family: Family) -> None:
    backbone = a_backbone("synthetic", family)
    output = backbone(images(), ALL_FIELDS)
    for field in (output.pooled, output.feature_map, output.stages[0]):
        backbone.zero_grad()
        field.square().sum().backward(retain_graph=True)
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in backbone.parameters())


@pytest.mark.parametrize("family", ["cnn", "vit"])
def test_a_backbone_keeps_no_tensor_of_the_last_batch(family: Family) -> None:
    backbone = a_backbone("synthetic", family)
    backbone(images(), ALL_FIELDS)
    assert list(backbone._packed) == []
    assert set(backbone.state_dict()) == {f"model.{name}" for name in backbone.model.state_dict()}


def test_asking_for_shapes_leaves_the_mode_and_the_statistics_as_they_were() -> None:
    backbone = a_backbone("synthetic", "cnn").train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.shapes(32)
    assert backbone.training
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
