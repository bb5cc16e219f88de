"""Measures what memory a GPU has free, and what a step of a track takes, in a process that ends afterwards."""

import torch

from kdbench.jobs.gpu_room import GpuRoom
from kdbench.networks.device import forget_peak_memory
from kdbench.networks.models import new_backbone
from kdbench.networks.placement import memory_format, placed
from kdbench.networks.precision import autocast
from kdbench.spec import FAMILIES, Family, Track


def measure_room(track: Track, device: torch.device) -> GpuRoom:
    """Measure the room on a GPU for runs of a track; what this process allocated before counts as taken.

    The networks of all families learn, which takes at least as much as one that learns from one that teaches.
    """
    free = torch.cuda.mem_get_info(device)[0]
    forget_peak_memory(device)
    networks = [_after_a_step(track, family, device) for family in FAMILIES]
    images = track.data.num_train * 3 * track.data.stored_size**2
    room = GpuRoom(free, torch.cuda.max_memory_reserved(device) + images)
    del networks  # which were kept until now, as a student and its teacher are
    return room


def _after_a_step(track: Track, family: Family, device: torch.device) -> object:
    """Return a network and its optimiser after a step on blank images."""
    size = track.data.image_size
    network = placed(new_backbone(track, family, seed=0, pretrained=False), device).train()
    batch = torch.zeros(track.training.batch_size, 3, size, size, device=device)
    batch = batch.contiguous(memory_format=memory_format(family))
    optimiser = torch.optim.AdamW(network.parameters())
    with autocast(track.training.precision_on(device.type), device):
        logits = network(batch).logits
    logits.float().sum().backward()
    optimiser.step()
    return network, optimiser
