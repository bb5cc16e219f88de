"""Exceptions that end a training and are no errors of the method.

Each becomes the outcome of the run, except `Stopped`, after which the training goes on in a later process.
"""


class Stopped(Exception):
    """The time of the invocation is up, and the training has saved a checkpoint."""


class BudgetExceeded(Exception):
    """The method drew more images or made more updates than the budget allows; the message says which."""


class RuleBroken(Exception):
    """The method changed something of the harness; the message names it, and the line of the method if that is known.

    The status of the outcome is `error`.
    """


class Diverged(Exception):
    """A loss or a weight is no longer finite; the message says which one, and at which step."""


class TooLittleMemory(Exception):
    """A step does not fit into memory and may not be split; the message says how much it needs and what to do."""


class CannotCompile(Exception):
    """The compiler failed on a network of the spec; the message says why, and what to do."""
