"""What captured steps need to know of a training: its run, and the tensors that a step changes."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from kdbench.api import Batch, Method
from kdbench.networks.moving_average import MovingAverage
from kdbench.training.capture.engine import Engine
from kdbench.training.capture.method_state import MethodState, roots_of
from kdbench.training.capture.readings import Readings
from kdbench.training.counts import Counts
from kdbench.training.epoch_means import EpochMeans
from kdbench.training.stopwatch import Stopwatch


class Subject(Protocol):
    """A run whose steps can be captured; `kdbench.training.metered` documents the names."""

    student: Any
    average: MovingAverage | None
    method: Method
    optimizer: Any
    own_optimizers: dict[str, Optimizer]
    schedule: Any
    stopwatch: Stopwatch
    engine: Engine | None
    readings: Readings
    means: EpochMeans
    micro_batches: int
    total_steps: int

    @property
    def step(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def thorough(self) -> bool: ...
    def prepare(self) -> None: ...
    def train_on(self, batch: Batch) -> None: ...
    def update_on(self, batch: Batch) -> None: ...
    def read_counts(self) -> Counts: ...
    def set_counts(self, counts: Counts) -> None: ...


class Moment:
    """Everything that a step of a run may change, as it is at one moment.

    Args:
        run: whose step is to be captured.
        device: of the captured steps.

    Attributes:
        method: the state of the method and of its optimisers.
        harness: the state of the student's optimiser and of the logged numbers.
        counts: of the run.

    Raises:
        NotCaptured: the method holds something that cannot be compared.
    """

    def __init__(self, run: Subject, device: Any) -> None:
        self._run = run
        module = type(run.method).__module__
        self.method = MethodState(roots_of(run.method, run.own_optimizers), device, module)
        self.harness = MethodState({"optimizer": run.optimizer, "logged": run.means.sums}, device)
        self.counts = run.read_counts()
        self._gradients = {parameter: parameter.grad for parameter in _parameters(run)}
        self._versions = [0 if grad is None else grad._version for grad in self._gradients.values()]

    def put_back(self) -> None:
        """Undo what a step that was only recorded has changed in Python; it has computed nothing."""
        self.method.put_back()
        self.harness.put_back()
        self._run.set_counts(self.counts)
        for parameter, gradient in self._gradients.items():
            parameter.grad = gradient

    def added_to_gradient(self) -> bool:
        """Return whether a gradient of this moment has been changed in place since then."""
        return any(
            gradient is not None and gradient._version != version
            for gradient, version in zip(self._gradients.values(), self._versions, strict=True)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return all tensors that a step may change, each under its first name."""
        named = {f"student.{name}": tensor for name, tensor in _named_tensors(self._run.student)}
        if self._run.average is not None:
            named |= {f"average.{name}": tensor for name, tensor in _named_tensors(self._run.average.network)}
        for state in (self.method, self.harness):
            named |= {path: slot.tensor for path, slot in state.slots.items()}
        first = {id(tensor): name for name, tensor in reversed(named.items()) if _writable(tensor)}
        return {name: tensor for name, tensor in named.items() if first.get(id(tensor)) == name}

    def bytes(self) -> int:
        """Return the size of all tensors that a step may change."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors().values())

    def objects(self) -> list[object]:
        """Return what a captured step reads or writes and must not be freed before it."""
        return [*self.tensors().values(), *self._gradients.values()]


def groups_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the groups in which tensors of a `Moment` are compared; the schedule changes the rate outside the step."""
    return {name: _group(name, tensor) for name, tensor in tensors.items() if not name.endswith(".lr")}


def _group(name: str, tensor: Tensor) -> str:
    owner, last = name.split(".", maxsplit=1)[0], name.rsplit(".", maxsplit=1)[-1]
    if owner == "logged":
        return name
    kind = "weights" if isinstance(tensor, nn.Parameter) else last if "optimizer" in owner else "buffers"
    return f"{owner} {kind}" if tensor.is_floating_point() else name


def _writable(tensor: Tensor) -> bool:
    """Return whether each element of a tensor has its own memory; `expand` makes tensors in which it has not."""
    return all(stride > 0 or size < 2 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))


def _parameters(run: Subject) -> list[nn.Parameter]:
    return [*run.student.parameters(), *run.method.parameters()]


def _named_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]
