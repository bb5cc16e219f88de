"""Small networks in the places of the FCN and of VGG-19, and the paper's track made small for them."""

import torch
from torch import Tensor, nn

from kdbench.spec import Track
from kdbench.testsets.fcn import VOC
from kdbench.testsets.picture_networks import PictureNetworks
from kdbench.testsets.spec import load_spec
from kdbench.testsets.vgg import BLOCKS

CPU = torch.device("cpu")
CAT, DOG = VOC.index("cat"), VOC.index("dog")


class ByColour(nn.Module):
    """A cat where red is strongest, a dog where green is, background elsewhere."""

    def forward(self, pixels: Tensor) -> Tensor:
        scores = torch.zeros(len(pixels), len(VOC), *pixels.shape[2:])
        scores[:, CAT] = (pixels[:, 0] > pixels[:, 1:].amax(dim=1)).float()
        scores[:, DOG] = (pixels[:, 1] > pixels[:, [0, 2]].amax(dim=1)).float()
        return scores


def narrow_vgg(width: int = 6) -> nn.Sequential:
    """VGG-19's convolutions, each of a few channels."""
    torch.manual_seed(0)
    parts: list[nn.Module] = []
    channels = 3
    for depth in BLOCKS:
        for _ in range(depth):
            parts += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


PAPER = load_spec().track("cifar10-224")


NAME = "cifar10-224"


def networks() -> PictureNetworks:
    return PictureNetworks(CPU, make_segmenter=lambda device: ByColour(), make_vgg=lambda device: narrow_vgg(4))


def paper_track(images: int = 20, steps: int = 2) -> Track:
    """The paper's track with fewer images and steps."""
    sets = []
    for test_set in PAPER.test_sets:
        parameters = test_set.parameters | ({"steps": steps} if "steps" in test_set.parameters else {})
        sets.append(test_set.model_copy(update={"images": images, "parameters": parameters}))
    return PAPER.model_copy(update={"test_sets": tuple(sets)})
