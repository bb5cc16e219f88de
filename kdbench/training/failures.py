"""How a training fails without an error of the method: each of these exceptions becomes the outcome of the run."""


class BudgetExceeded(Exception):
    """The method drew or updated more than the budget allows; the message says what."""


class Diverged(Exception):
    """A loss is not finite any more; the message says which and when."""


class TooLittleMemory(Exception):
    """A step does not fit and may not be split; the message says what it needs and what can be changed."""
