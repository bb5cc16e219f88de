"""Makes the moving average of the student for a method that has one."""

from collections.abc import Callable

from kdbench.api import Method
from kdbench.methods.places import place_of_definition
from kdbench.networks.backbone import Backbone
from kdbench.networks.moving_average import MovingAverage
from kdbench.training.failures import RuleBroken


def average_of(method: Method, student: Backbone, new: Callable[[], Backbone]) -> MovingAverage | None:
    """Return the moving average of a student, as it is before the first update; None for a method without one.

    Args:
        method: that has just been made.
        student: the network to follow.
        new: makes a network of its architecture in float32, whose weights do not matter.

    Raises:
        RuleBroken: the method's `ema_decay` is not allowed.
    """
    decay = method.ema_decay
    if decay is None:
        return None
    if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1:
        place = place_of_definition(type(method), "__init__")
        raise RuleBroken(f"{place}`ema_decay` is {decay!r}; it must be a number in [0, 1)")
    return MovingAverage(new(), student, float(decay))
