"""A training step in plain PyTorch, the yardstick of the timing suite.

It uses nothing of the harness but the network and the batch size, and stays as it is: the ratio of a method's step to
it shows whether the harness or the method got slower or faster, on a machine whose speed changes meanwhile.
"""

from collections.abc import Callable

import torch
from torch.nn import functional as F

from kdbench.networks.placement import memory_format
from kdbench.spec import Direction, Track, families
from kdbench.timing.timed_training import untrained_network
from kdbench.training.stopwatch import Stopwatch


def bare_step(track: Track, direction: Direction, device: torch.device) -> Callable[[], float]:
    """Return a function that trains the student's network by one step, waits for the device and returns the seconds.

    A step consists of the forward pass, cross-entropy, the backward pass and AdamW, on one batch of noise that stays on
    the device.

    Args:
        track: with the network and the batch size.
        direction: with the family of the student.
        device: where to train.
    """
    family = families(direction).student
    model = untrained_network(track, family, device).model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    size, stopwatch = track.data.image_size, Stopwatch(device)
    noise = torch.randn(track.training.batch_size, 3, size, size, device=device)
    images = noise.contiguous(memory_format=memory_format(family))
    labels = torch.arange(len(images), device=device) % track.data.num_classes
    half = track.training.precision_on(device.type) == "bfloat16"

    def step() -> float:
        started = stopwatch.now()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return stopwatch.now() - started

    return step
