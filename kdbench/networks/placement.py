"""Moves networks to a device and chooses the form and the memory layout of weights and images. No other module decides
this."""

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from kdbench.networks.backbone import Backbone
from kdbench.networks.inference import has_inference_form, inference_form
from kdbench.spec import Family, Precision


def memory_format(family: Family | None) -> torch.memory_format:
    """Return the order of the axes in memory of a family's weights and images: channels last for CNNs.

    A network of neither family gets the usual order.
    """
    return torch.channels_last if family == "cnn" else torch.contiguous_format


def placed(backbone: Backbone, device: torch.device) -> Backbone:
    """Move a backbone to a device, in the memory format of its family, and return it."""
    return backbone.to(device, memory_format=memory_format(backbone.family))  # type: ignore[call-overload,no-any-return]


def placed_student(backbone: Backbone, device: torch.device, parameters: Precision) -> Backbone:
    """Move a backbone to a device for training, with parameters in a precision, and return it.

    The parameters of batch normalisation stay float32, as PyTorch's kernels want them.
    """
    if parameters == "bfloat16":
        for module in backbone.modules():
            if not isinstance(module, _BatchNorm):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(torch.bfloat16)
    return placed(backbone, device)


def placed_teacher(backbone: Backbone, device: torch.device, precision: Precision) -> Backbone:
    """Return a backbone on a device as a teacher: in evaluation mode, without gradients, and fast on CUDA.

    Args:
        backbone: to use no more, since the teacher may be made of its parts.
        device: of the teacher.
        precision: of the forward passes.
    """
    teacher = backbone.eval().requires_grad_(False)
    if device.type == "cuda" and precision == "bfloat16" and has_inference_form(teacher):
        teacher = inference_form(teacher)
    return placed(teacher, device)
