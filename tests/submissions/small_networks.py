"""What CAPD sees of a run, as small as it can be: a ViT of 8 x 8 patches teaches a CNN whose stage 3 is 8 x 8."""

from typing import Any

import torch
from torch import Tensor, nn

from benchmark.submissions.capd import CrossArchitectureProjection as Capd
from kdbench.api import Batch, Output, Shapes, Task

IMAGES, HEADS, GRID, HEAD_WIDTH, CLASSES = 4, 3, 8, 8, 10
WIDTH, TOKENS = HEADS * HEAD_WIDTH, GRID * GRID
VIT = Shapes("vit", WIDTH, (WIDTH, GRID, GRID), ((WIDTH, GRID, GRID),) * 4, (HEADS, 1 + TOKENS, HEAD_WIDTH), 1)
CNN = Shapes("cnn", 12, (12, 4, 4), ((2, 32, 32), (4, 16, 16), (6, 8, 8), (12, 4, 4)), None, 0)


def a_task(teacher: Shapes = VIT, student: Shapes = CNN) -> Task:
    labels = torch.arange(CLASSES)
    return Task(
        CLASSES, CLASSES, labels, teacher, student, total_steps=10, epochs=1, seed=0, device=torch.device("cpu")
    )


def a_method(**settings: Any) -> Capd:
    torch.manual_seed(0)
    return Capd(a_task(), Capd.Config(**settings))


def a_batch() -> Batch:
    torch.manual_seed(1)
    return Batch(torch.randn(IMAGES, 3, 32, 32), torch.arange(IMAGES), torch.arange(IMAGES))


def qkv(seed: int, tokens: int = TOKENS) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    q, k, v = torch.randn(3, IMAGES, HEADS, tokens, HEAD_WIDTH)
    return q, k, v


def a_teacher(attention: tuple[Tensor, Tensor, Tensor] | None = None) -> Output:
    attention = attention or qkv(2, 1 + TOKENS)
    torch.manual_seed(3)
    return Output(torch.randn(IMAGES, CLASSES), feature_map=torch.randn(IMAGES, WIDTH, GRID, GRID), attention=attention)


class Student(nn.Module):
    """A convolution and a classifier: all that the method sees of a CNN."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Conv2d(3, 6, 4, stride=4)
        self.classifier = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Output:
        stage = self.trunk(images)
        return Output(self.classifier(stage.mean(dim=(2, 3))), stages=(stage,) * 4)
