"""Tasks of small networks of both families, random outputs of them, and what a method's loss adds up to."""

from typing import Any

import torch
from torch import Tensor

from kdbench.api import Batch, Losses, Method, Output, Shapes, Task, Term
from kdbench.methods.loading import load_submission
from kdbench.spec import Family

IMAGES, CLASSES = 6, 10
SHAPES: dict[Family, Shapes] = {
    "cnn": Shapes("cnn", 12, (12, 2, 2), ((3, 16, 16), (4, 8, 8), (6, 4, 4), (12, 2, 2)), None, 0),
    "vit": Shapes("vit", 8, (8, 4, 4), ((8, 4, 4),) * 4, (2, 17, 4), 1),
}


def a_task(teacher: Family = "cnn", student: Family = "vit", epochs: int = 1) -> Task:
    labels = torch.arange(60) % CLASSES
    cpu = torch.device("cpu")
    return Task(CLASSES, 60, labels, SHAPES[teacher], SHAPES[student], 10 * epochs, epochs, seed=0, device=cpu)


def a_method(name: str, task: Task | None = None, **settings: Any) -> Method:
    """Return a shipped method, with modules in float64."""
    method = load_submission(name)
    torch.manual_seed(0)
    return method(task or a_task(), method.Config(**settings)).double()


def a_batch() -> Batch:
    return Batch(torch.zeros(IMAGES, 3, 16, 16), torch.arange(IMAGES) % CLASSES, torch.arange(IMAGES))


def an_output(family: Family, seed: int) -> Output:
    """Return random values of all fields that both families have, in float64."""
    shapes, random = SHAPES[family], torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(IMAGES, *shape, generator=random, dtype=torch.float64)

    return Output(
        logits=drawn(CLASSES),
        pooled=drawn(shapes.pooled),
        feature_map=drawn(*shapes.feature_map),
        stages=tuple(drawn(*shape) for shape in shapes.stages),
    )


def with_logits(output: Output, logits: Tensor) -> Output:
    return Output(logits, output.pooled, output.feature_map, stages=output.stages)


def weighted(losses: Losses) -> dict[str, float]:
    """Return the terms of a loss by name, each times its weight."""
    assert not isinstance(losses, Tensor)
    return {
        name: term.value.item() * term.weight if isinstance(term, Term) else term.item()
        for name, term in losses.items()
    }
