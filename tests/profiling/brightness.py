"""A network with known biases: its class is whether an image is bright."""

from torch import Tensor, nn


class Brightness(nn.Module):
    """Maps (B, 3, H, W) images, normalised so that 0 is grey, to two logits: bright, dark."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return Tensor([[1.0, -1.0]]) * mean[:, None] * 100
