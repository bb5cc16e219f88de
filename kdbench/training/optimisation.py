"""AdamW and the learning-rate schedule of the spec, and the parameters that they act on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from timm.optim import param_groups_weight_decay
from torch import Tensor, nn

from kdbench.networks.anatomy import classifier_layers
from kdbench.networks.backbone import Backbone
from kdbench.spec import BackboneSpec
from kdbench.training.failures import BudgetExceeded

KINDS = ("capturable", "fused")  # options of an optimiser that decide how it computes, and not what


def make_optimizer(
    student: Backbone,
    method: nn.Module,
    own_optimizers: Mapping[str, torch.optim.Optimizer],
    recipe: BackboneSpec,
    *,
    capturable: bool = False,
) -> torch.optim.AdamW:
    """Return AdamW at the family's learning rate, for the student and the method's parameters that are trained with it.

    Weight decay is not applied to biases, norms and the parameters in the `no_weight_decay` of timm's model (a ViT's
    class token and position embedding), nor to vectors and scalars of the method. Networks of the method that are
    built like the student are treated like it.

    Args:
        student: all of its parameters that require gradients are trained.
        method: its parameters that are in none of its own optimisers are trained, too.
        own_optimizers: of the method, by name.
        recipe: settings of the student's family.
        capturable: whether its steps can be captured: the rate and the number of steps are then tensors on the device.

    Raises:
        BudgetExceeded: an optimiser of the method holds a parameter of the student.
    """
    names = _names_without_decay(student.model)
    groups = param_groups_weight_decay(student.model, recipe.weight_decay, no_weight_decay_list=names)
    own, undecayed = _parameters_of_method(student, method, own_optimizers), _undecayed_of_peers(method)
    groups += [
        {"params": [p for p in own if p.ndim < 2 or id(p) in undecayed], "weight_decay": 0.0},
        {"params": [p for p in own if p.ndim >= 2 and id(p) not in undecayed], "weight_decay": recipe.weight_decay},
    ]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    if capturable:
        make_capturable(optimizer)
    return optimizer


def make_capturable(optimizer: torch.optim.Optimizer) -> None:
    """Keep the number of steps of an optimiser on CUDA, if it can, so that a captured step counts it up."""
    groups = [group for group in optimizer.param_groups if "capturable" in group]
    for group in groups:
        group["capturable"] = group["params"][0].is_cuda
    optimizer._warned_capturable_if_run_uncaptured = True  # its eager steps are meant
    for parameter, state in optimizer.state.items():
        if groups and isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(parameter.device)


def keep_rate_in_tensors(optimizer: torch.optim.Optimizer) -> None:
    """Turn the learning rate of every group into a tensor, which the schedule fills and captured steps read."""
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=group["params"][0].device)


def restore_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Restore the state of a checkpoint; rates that are tensors stay the same tensors."""
    rates = [group["lr"] for group in optimizer.param_groups]
    kinds = [{name: group[name] for name in KINDS if name in group} for group in optimizer.param_groups]
    groups = [{**saved, **kind} for saved, kind in zip(state["param_groups"], kinds, strict=True)]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        if isinstance(rate, Tensor):
            group["lr"] = rate.fill_(float(group["lr"]))


def _parameters_of_method(
    student: Backbone, method: nn.Module, own_optimizers: Mapping[str, torch.optim.Optimizer]
) -> list[nn.Parameter]:
    """Return the method's parameters that the student's optimiser trains."""
    students = {id(p) for p in student.parameters()}
    owned: set[int] = set()
    for name, optimizer in own_optimizers.items():
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if held & students:
            raise BudgetExceeded(f"optimizer {name!r} holds parameters of the student, which only the harness updates")
        owned |= held
    return [p for p in method.parameters() if p.requires_grad and id(p) not in owned]


def _undecayed_of_peers(method: nn.Module) -> set[int]:
    """Return the identities of the parameters of a method's networks to which timm's model applies no decay."""
    models = [module.model for module in method.modules() if isinstance(module, Backbone)]
    named = [(name, p, _names_without_decay(model)) for model in models for name, p in model.named_parameters()]
    return {id(parameter) for name, parameter, names in named if name in names}


def _names_without_decay(model: nn.Module) -> set[str]:
    """Return the names that timm's model excludes from weight decay."""
    return set(cast(Any, model).no_weight_decay()) if hasattr(model, "no_weight_decay") else set()


def make_schedule(
    optimizer: torch.optim.Optimizer, total_steps: int, warmup: float
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return the schedule of `rate_factor`; after the last update the rate stays the same."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: rate_factor(min(step, total_steps - 1), total_steps, warmup)
    )


def rate_factor(step: int, total: int, warmup: float, *, warmup_ends_at_peak: bool = False) -> float:
    """Return the learning rate of an update relative to its peak: linear warm-up, then a cosine to zero.

    Args:
        step: number of the update, in [0, total).
        total: updates of the run.
        warmup: share of the updates that warm up.
        warmup_ends_at_peak: whether the last update of the warm-up has the peak rate already, like the first update
            after it; the shipped pretrained weights were made this way.

    Returns:
        A factor in (0, 1].
    """
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + (0 if warmup_ends_at_peak else 1))
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))


def trunk_of(student: Backbone) -> list[nn.Parameter]:
    """Return the parameters of a network without those of its classifier."""
    classifier = {id(p) for layer in classifier_layers(student.model) for p in layer.parameters()}
    return [p for p in student.parameters() if id(p) not in classifier]


def gradient_norm(term: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return the L2 norm of a term's gradient on some parameters; the graph is kept for the update.

    Args:
        term: () float, part of a loss.
        parameters: at least one; the gradient is 0 for parameters that the term does not depend on.
    """
    zero = torch.zeros((), device=parameters[0].device)
    if not term.requires_grad:
        return zero
    gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    norms = [torch.linalg.vector_norm(g.float()) for g in gradients if g is not None]
    total: Tensor = torch.linalg.vector_norm(torch.stack([zero, *norms]))
    return total
