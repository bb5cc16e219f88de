"""Rules for the modules of a method: all are made in `__init__`, and the harness can find all of them."""

from collections.abc import Iterator
from itertools import chain

from torch import nn
from torch.nn.parameter import is_lazy

from kdbench.training.failures import RuleBroken


class MethodWatch:
    """Notices modules, parameters and buffers that a method has made since its `__init__`.

    Args:
        method: that has just been made.
    """

    def __init__(self, method: nn.Module) -> None:
        self._method, self._names = method, _names_of_state(method)
        self._parameters = {id(parameter) for parameter in method.parameters()}

    def breach(self) -> RuleBroken | None:
        """Return what has been made, replaced or removed, or None."""
        names = _names_of_state(self._method)
        if names == self._names and self._parameters == {id(parameter) for parameter in self._method.parameters()}:
            return None
        changed = sorted(names ^ self._names)
        what = f"`self.{changed[0]}`" if changed else "a parameter"
        return RuleBroken(
            f"made, replaced or removed the module, parameter or buffer {what}; make it in `__init__`, so that it is "
            "trained and checkpointed"
        )


def fault_of_modules(method: nn.Module) -> str | None:
    """Return why a method that has just been made cannot be trained as a whole, or None; a sentence with a remedy."""
    for name, parameter in method.named_parameters():
        if is_lazy(parameter):
            return f"`self.{name}` has no shape yet; take its width from `task.student` or `task.teacher`"
    registered = {id(part) for part in chain(method.modules(), method.parameters())}
    for name, value in vars(method).items():
        if not name.startswith("_") and any(id(part) not in registered for part in _parts(value)):
            return f"`self.{name}` hides modules in a {type(value).__name__}; use nn.ModuleList or nn.ModuleDict"
    return None


def _parts(value: object) -> Iterator[nn.Module | nn.Parameter]:
    """Yield the modules and parameters in a plain list, tuple or dictionary."""
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    for entry in entries:
        if isinstance(entry, nn.Module | nn.Parameter):
            yield entry
        else:
            yield from _parts(entry)


def _names_of_state(method: nn.Module) -> set[str]:
    return {name for name, _ in chain(method.named_modules(), method.named_parameters(), method.named_buffers())}
