"""Networks that cannot see where a tile lies answer as before when tiles are permuted."""

from collections.abc import Callable

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from kdbench.scoring.likeness import agreement, label_kappa
from kdbench.scoring.statistic import Statistic
from kdbench.testsets.kinds.tiles import scrambled

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
GRIDS = (2, 4, 8)


def vit(pos_embed: str) -> nn.Module:
    arguments = {"img_size": 32, "patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 10}
    network: nn.Module = timm.create_model("vit_tiny_patch16_224", pos_embed=pos_embed, **arguments)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return network


def bag_of_patches() -> nn.Module:
    """Sees squares of 4 pixels one by one, and averages."""
    average = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(3, 32, 4, stride=4), nn.ReLU(), nn.Conv2d(32, 10, 1), average, nn.Flatten())


def answers(network: nn.Module, images: np.ndarray) -> Tensor:
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits: Tensor = network.eval()(pixels)
    return logits


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("make", [lambda: vit("none"), bag_of_patches], ids=["ViT without positions", "bag of patches"])
def test_without_positions_every_answer_stays(make: Callable[[], nn.Module], grid: int) -> None:
    torch.manual_seed(0)
    network = make()
    clean, permuted = (answers(network, images) for images in (IMAGES, scrambled(IMAGES, np.arange(40), grid=grid)))
    torch.testing.assert_close(permuted, clean, atol=1e-4, rtol=0)
    before, after = (images.argmax(dim=1).numpy() for images in (clean, permuted))
    consistency, kappa = agreement(before, after), label_kappa(before, after, 10)
    assert isinstance(consistency, Statistic)
    assert isinstance(kappa, Statistic)
    assert consistency.value == 1
    assert kappa.value == pytest.approx(1)


def test_with_positions_answers_change() -> None:
    torch.manual_seed(0)
    network = vit("learn")
    clean, permuted = (answers(network, images) for images in (IMAGES, scrambled(IMAGES, np.arange(40), grid=8)))
    consistency = agreement(clean.argmax(dim=1).numpy(), permuted.argmax(dim=1).numpy())
    assert isinstance(consistency, Statistic)
    assert consistency.value < 1
