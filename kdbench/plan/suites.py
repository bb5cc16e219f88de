"""The suites of methods that a run may name instead of single methods."""

from kdbench.errors import InputError
from kdbench.methods.files import list_submissions
from kdbench.plan.options import SUITES

_QUICK = ("lm",)
_CORE = ("lm", "crd", "cskd", "vlfkd", "sskd", "capd")  # the methods of the paper, in its order


def methods_of(suite: str) -> list[str]:
    """Return the names of the methods of a suite, besides `independent`, which every plan has.

    Args:
        suite: "quick" for logit matching, "core" for the methods of the paper, or "full" for all shipped methods.

    Raises:
        InputError: there is no such suite.
    """
    if suite not in SUITES:
        raise InputError(f"--suite {suite!r} is not allowed; give one of: {', '.join(SUITES)}")
    return {"quick": list(_QUICK), "core": list(_CORE), "full": list_submissions()}[suite]
