"""Gram matrices, textures and styles, against slow references and on a network small enough for a processor."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kdbench.testsets.fcn import IMAGENET_STD
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import (
    Adam,
    Layers,
    Style,
    Texture,
    VggFeatures,
    gram,
    new_vgg,
    repeatable,
    style_of,
    texture_of,
)
from tests.testsets.small_picture_networks import narrow_vgg

PAPER = load_spec().track("cifar10-224")
SETS = {test_set.name: test_set.parameters for test_set in PAPER.test_sets}
SIZE = PAPER.data.image_size

PLACES = {
    **{"conv1_1": 2, "pool1": 5, "conv2_1": 7, "conv2_2": 9, "pool2": 10, "conv3_1": 12, "pool3": 19},
    **{"conv4_1": 21, "conv4_2": 23, "pool4": 28, "conv5_1": 30},
}  # modules of torchvision's list up to the layer

LAYERS = Layers(("conv1_1", "pool1", "conv3_1"), (1.0, 1.0, 0.5))


def features(pooling: str = "average") -> VggFeatures:
    return VggFeatures(narrow_vgg(), pooling).requires_grad_(False)  # type: ignore[arg-type]


def noise(count: int, size: int = 32, seed: int = 0) -> Tensor:
    """(count, 3, size, size) random pixels in [0, 255]."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 255


def stripes(count: int, size: int = 32) -> Tensor:
    """(count, 3, size, size) horizontal stripes, of another period each."""
    rows = torch.arange(size)
    waves = torch.stack([torch.sin(rows * 2 * torch.pi / (3 + k)) for k in range(count)])
    return (127 + 100 * waves)[:, None, :, None].expand(count, 3, size, size).clone()


def slow_gram(image: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float64]:
    """The Gram matrix of (C, h, w) in loops."""
    channels, height, width = image.shape
    result = np.zeros((channels, channels))
    for a in range(channels):
        for b in range(channels):
            for row in range(height):
                for column in range(width):
                    result[a, b] += weight[row, column] * float(image[a, row, column]) * float(image[b, row, column])
    return np.asarray(result / weight.sum())


def test_gram_matrices_are_those_of_a_slow_reference() -> None:
    maps, weight = torch.randn(2, 3, 4, 5), torch.rand(2, 4, 5)
    for row in range(2):
        expected = slow_gram(maps[row].numpy(), np.ones((4, 5), np.float32))
        np.testing.assert_allclose(gram(maps)[row].numpy(), expected, rtol=1e-4, atol=1e-5)
        expected = slow_gram(maps[row].numpy(), weight[row].numpy())
        np.testing.assert_allclose(gram(maps, weight)[row].numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_layers_are_those_of_the_plain_network(pooling: str) -> None:
    network, images = narrow_vgg(), torch.randn(1, 3, 32, 32)
    features = VggFeatures(network, pooling)(images, tuple(PLACES))  # type: ignore[arg-type]
    plain = nn.Sequential(
        *(nn.AvgPool2d(2) if isinstance(layer, nn.MaxPool2d) and pooling == "average" else layer for layer in network)
    )
    for name, count in PLACES.items():
        torch.testing.assert_close(features[name], plain[:count](images.clone()))


def test_a_layer_that_vgg19_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match="no layer conv6_1"):
        features()(torch.zeros(1, 3, 32, 32), ("conv6_1",))


def texture_error(vgg: VggFeatures, images: Tensor, sources: Tensor) -> Tensor:
    """(B,) the loss that synthesis lowers, of pixels, for sources that fill the field."""
    names = LAYERS.names
    features, wanted = (vgg(vgg.normalised(pixels), names) for pixels in (images, sources))
    total = torch.zeros(len(images))
    for name, share in zip(names, LAYERS.weights, strict=True):
        target = gram(wanted[name])
        total += share * (gram(features[name]) - target).square().sum(dim=(1, 2)) / target.square().sum(dim=(1, 2))
    return total


def test_synthesis_takes_on_the_textures_gram_matrices() -> None:
    vgg, sources, start = features(), stripes(2), noise(2)
    made = Texture(LAYERS, Adam(40, 0.1)).synthesised(vgg, sources, torch.ones(2, 32, 32), start)
    assert (texture_error(vgg, made, sources) < 0.2 * texture_error(vgg, start, sources)).all()
    assert made.min() >= -1e-3
    assert made.max() <= 255 + 1e-3


def test_texture_comes_from_the_weighted_region_alone() -> None:
    """What lies outside changes nothing beyond the reach of the layers' windows; here it is one pixel."""
    vgg, layers = features(), Layers(("conv1_1",), (1.0,))
    region = torch.zeros(1, 32, 32)
    region[:, 8:24, 8:24] = 1
    image = stripes(1)
    other = image.clone()
    outside = torch.ones(32, 32, dtype=torch.bool)
    outside[7:25, 7:25] = False
    other[:, :, outside] = noise(1)[:, :, outside]
    recipe = Texture(layers, Adam(5, 0.1))
    torch.testing.assert_close(
        recipe.synthesised(vgg, image, region, noise(1, seed=2)),
        recipe.synthesised(vgg, other, region, noise(1, seed=2)),
    )


def test_an_image_does_not_depend_on_its_batch() -> None:
    vgg, sources, start = features(), stripes(3), noise(3)
    recipe = Texture(LAYERS, Adam(10, 0.05))
    together = recipe.synthesised(vgg, sources, torch.ones(3, 32, 32), start)
    alone = recipe.synthesised(vgg, sources[1:2], torch.ones(1, 32, 32), start[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=0.05, rtol=0)


def slow_style_loss(vgg: VggFeatures, recipe: Style, image: Tensor, content: Tensor, style: Tensor) -> float:
    """The loss as it is defined: the content's weight x mean squared difference, plus the style's weight x the sum over
    layers of weight x mean squared difference of unnormalised Gram matrices / (d h w)."""
    mine, theirs, picture = (vgg(pixels, (*recipe.layers.names, recipe.content)) for pixels in (image, content, style))
    total: float = recipe.content_weight * ((mine[recipe.content] - theirs[recipe.content]) ** 2).mean().item()
    for name, share in zip(recipe.layers.names, recipe.layers.weights, strict=True):
        _, depth, height, width = mine[name].shape
        flat, other = (features[name][0].reshape(depth, height * width) for features in (mine, picture))
        difference = ((flat @ flat.T - other @ other.T) ** 2).mean().item()
        total += recipe.style_weight * share * difference / (depth * height * width)
    return total


def test_style_transfer_follows_the_stated_loss() -> None:
    """One step of Adam moves every pixel by the learning rate against the sign of the gradient of the stated loss."""
    vgg = features("max")
    recipe = Style(Layers(("conv1_1", "conv2_1"), (1.0, 0.8)), 0.2, "conv2_2", 0.8, Adam(1, 0.01))
    content, style = noise(1, 16), stripes(1, 16)
    made = vgg.normalised(recipe.transferred(vgg, content, style))
    start, picture = vgg.normalised(content), vgg.normalised(style)
    generator, epsilon, checked = np.random.default_rng(0), 1e-2, 0
    for _ in range(20):
        place = (0, *(int(generator.integers(limit)) for limit in (3, 16, 16)))
        up, down = start.clone(), start.clone()
        up[place] += epsilon
        down[place] -= epsilon
        slope = slow_style_loss(vgg, recipe, up, start, picture) - slow_style_loss(vgg, recipe, down, start, picture)
        moved = (made - start)[place].item()
        if abs(slope) > 1e-6 and abs(moved) > 0.005:
            assert np.sign(moved) == -np.sign(slope)
            checked += 1
    assert checked > 10


def test_the_specs_recipes_are_read_as_written() -> None:
    texture = texture_of(SETS["texture"])
    assert texture.layers == Layers(("conv1_1", "pool1", "pool2", "pool3", "pool4"), (1.0,) * 5)
    assert texture.adam == Adam(400, 0.1)
    style = style_of(SETS["stylized"])
    assert style.layers.weights == (1.0, 0.8, 0.5, 0.3, 0.1)
    assert (style.content, style.content_weight, style.style_weight) == ("conv4_2", 0.8, 0.2)
    assert style.adam == Adam(85, 0.2)


def test_while_pictures_are_made_no_kernel_is_chosen_by_its_speed_or_rounds_to_tf32() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    with repeatable():
        assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == (True, False, False)
    assert (cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32) == before


def test_layers_without_as_many_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="there are 2 layers and 1 weights; give one weight per layer"):
        Layers.parsed("conv1_1 conv2_1", "1")


def test_the_layers_that_the_spec_names_are_among_those() -> None:
    texture, style = texture_of(SETS["texture"]), style_of(SETS["stylized"])
    assert {*texture.layers.names, *style.layers.names, style.content} <= PLACES.keys()


def assert_one_step_was_taken(start: Tensor, made: Tensor, adam: Adam) -> None:
    """Adam's first step moves a pixel by the learning rate, wherever it has a gradient and is not at its bound."""
    moved = (made - start).abs().flatten(2).median(dim=2).values[0]
    torch.testing.assert_close(moved, 255 * adam.learning_rate * torch.tensor(IMAGENET_STD), rtol=0.02, atol=0)
    assert -1e-3 <= made.min() <= made.max() <= 255 + 1e-3


@pytest.fixture(scope="module")
def real_vgg() -> nn.Sequential:
    """VGG-19 in its whole width, with random weights."""
    torch.manual_seed(0)
    return new_vgg().eval().requires_grad_(False)


def test_the_real_network_makes_a_texture_at_the_tracks_size(real_vgg: nn.Sequential) -> None:
    vgg, recipe = VggFeatures(real_vgg, "average"), replace(texture_of(SETS["texture"]), adam=Adam(1, 0.1))
    sources, start = stripes(1, SIZE), noise(1, SIZE)
    made = recipe.synthesised(vgg, sources, torch.ones(1, SIZE, SIZE), start)
    assert_one_step_was_taken(start, made, recipe.adam)


def test_the_real_network_makes_a_style_at_the_tracks_size(real_vgg: nn.Sequential) -> None:
    vgg, recipe = VggFeatures(real_vgg, "max"), replace(style_of(SETS["stylized"]), adam=Adam(1, 0.2))
    contents = noise(1, SIZE)
    made = recipe.transferred(vgg, contents, stripes(1, SIZE))
    assert_one_step_was_taken(contents, made, recipe.adam)
