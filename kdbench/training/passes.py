"""The forward passes of a training: each is timed, computed in the track's precision, and counted."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kdbench.api import Method, Output
from kdbench.networks.backbone import Backbone
from kdbench.networks.moving_average import MovingAverage
from kdbench.networks.precision import autocast
from kdbench.spec import Precision
from kdbench.training.stopwatch import Stopwatch


class Passes:
    """Sends images through the networks of a run.

    Args:
        student: the network that is trained.
        teacher: None for methods that use none.
        average: the moving average of the student, if the method has one.
        peers: networks of the student's architecture, which the method itself calls.
        method: whose needs are computed.
        counts: of the run; the hooks of the peers refer to nothing else of it.
        stopwatch: sums up the seconds of each network.
        precision: of the computations.
        device: of all tensors.
    """

    def __init__(
        self,
        *,
        student: Backbone,
        teacher: Backbone | None,
        average: MovingAverage | None,
        peers: Sequence[Backbone],
        method: Method,
        counts: defaultdict[str, int],
        stopwatch: Stopwatch,
        precision: Precision,
        device: torch.device,
    ) -> None:
        self._student, self._teacher, self._average, self._method = student, teacher, average, method
        self._stopwatch, self._precision, self._device = stopwatch, precision, device
        self._counts, self.tally = counts, StudentTally(counts)
        for peer in peers:
            self.tally.watch(peer)

    def student(self, images: Tensor, *, with_gradient: bool) -> Output:
        with self._stopwatch.part("student"), self._computing(), torch.set_grad_enabled(with_gradient):
            output: Output = self._student(images, self._method.needs)
        self.tally.forward(output)
        return output

    @torch.no_grad()
    def average(self, images: Tensor) -> Output:
        """Return the output of the moving average; RuntimeError if the method has none."""
        if self._average is None:
            name = type(self._method).__name__
            raise RuntimeError(f"{name} has no `ema_decay`; set it in the class or in `__init__`")
        with self._stopwatch.part("student"), self._computing():
            output: Output = self._average.network(images, self._method.needs)
        self.tally.forward(output)
        return output

    @torch.no_grad()
    def teacher(self, images: Tensor) -> Output:
        """Return the output of the teacher; RuntimeError if the method uses none."""
        if self._teacher is None:
            raise RuntimeError(
                f"{type(self._method).__name__} sets uses_teacher = False but calls the teacher; set it to True"
            )
        with self._stopwatch.part("teacher"), self._computing():
            output: Output = self._teacher(images, self._method.needs)
        self._counts["teacher_forward_images"] += len(images)
        return output

    def _computing(self) -> torch.autocast:
        return autocast(self._precision, self._device)


class StudentTally:
    """Counts the images that pass through the student and through the networks that are built like it.

    Args:
        counts: of the run.

    Attributes:
        graph_images: images that went forward with gradient since the last backward pass.
    """

    def __init__(self, counts: defaultdict[str, int]) -> None:
        self._counts, self.graph_images = counts, 0

    def forward(self, output: Output) -> None:
        """Count a forward pass."""
        self._counts["student_forward_images"] += len(output.logits)
        if output.logits.requires_grad:
            self.graph_images += len(output.logits)

    def backward(self) -> None:
        """Count the backward pass of all images that went forward with gradient."""
        self._counts["student_backward_images"] += self.graph_images
        self.graph_images = 0

    def watch(self, network: nn.Module) -> None:
        """Count every forward pass of a network from now on."""

        def count(_module: nn.Module, _inputs: Any, output: Output) -> None:
            self.forward(output)

        network.register_forward_hook(count)
