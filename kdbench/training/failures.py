"""How a training fails without an error of the method: each of these exceptions becomes the outcome of the run."""


class BudgetExceeded(Exception):
    """The method drew or updated more than the budget allows; the message says what."""


class RuleBroken(Exception):
    """The method changed what belongs to the harness; the message says what, and where in the method if that is known.

    The outcome is the status `error`.
    """


class Diverged(Exception):
    """A loss or a weight is not finite any more; the message says which and when."""


class TooLittleMemory(Exception):
    """A step does not fit and may not be split; the message says what it needs and what can be changed."""
