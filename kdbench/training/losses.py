"""Checks and weights the losses that a method hands to the harness."""

from collections.abc import Mapping

from torch import Tensor

from kdbench.api import Losses, Term
from kdbench.training.failures import RuleBroken

ALLOWED = "it must be one scalar tensor, or a dictionary of named scalar tensors and Terms"


def terms_of(losses: Losses) -> Mapping[str, Tensor | Term]:
    """Return losses as named terms.

    Raises:
        RuleBroken: they are not what the contract allows; the sentence begins with a verb.
    """
    terms = losses if isinstance(losses, Mapping) else {"loss": losses}
    if not terms:
        raise RuleBroken(f"gave a loss without terms; {ALLOWED}")
    values = {name: term.value if isinstance(term, Term) else term for name, term in terms.items()}
    for name, value in values.items():
        if fault := _fault(value):
            place = f"the term {name!r} of its loss" if isinstance(losses, Mapping) else "its loss"
            raise RuleBroken(f"gave {place} as {fault}; {ALLOWED}")
    if not any(value.requires_grad for value in values.values()):
        raise RuleBroken("gave a loss that depends on no parameter; compute it from the student's output")
    return terms


def weighted(term: Tensor | Term) -> Tensor:
    """Return a term with its weight, () float32."""
    return term.value.float() * term.weight if isinstance(term, Term) else term.float()


def _fault(value: object) -> str | None:
    """Return what a term is instead of a scalar tensor; None if it is one."""
    if not isinstance(value, Tensor):
        return "None" if value is None else f"a {type(value).__name__}"
    return None if value.ndim == 0 else f"a tensor of shape {tuple(value.shape)}"
