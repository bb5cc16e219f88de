"""Pretrain the backbones of the synthetic track:

    python benchmark/v1/weights/pretrain.py --family cnn
    python benchmark/v1/weights/pretrain.py --family vit --out first.safetensors
    python benchmark/v1/weights/pretrain.py --family vit --start first.safetensors

The pretext task is to name the shape and the texture of an image. Both are drawn independently from a vocabulary that
shares no shape and no texture with the benchmark (`pretext_tables.npz`, made by
`python datasets/synthetic/tables.py --pretext`); their losses have the same weight. Saliences vary between chunks of
images, so the weights do not depend on later choices of the saliences. The classifier is discarded.

With `--start`, a second round continues from the trunk of a first one, with a random classifier, other images, the same
schedule and more noise: the ViT learns shapes only with little noise, and needs more noise to recognise them on the
track.

`--seed` draws other initial weights and images; `--device cuda` and `--workers` shorten the training from an hour to
minutes.

An interrupted training resumes from its last checkpoint (`OUT.state`) and gives the weights of an uninterrupted one.
"""

import argparse
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from kdbench.data.array_types import Split
from kdbench.data.synthetic import Saliences, SceneDraws, Tables, read_tables, render
from kdbench.networks.backbone import create_model
from kdbench.networks.placement import memory_format
from kdbench.randomness import seed_of
from kdbench.spec import FAMILIES, Family
from kdbench.testsets.spec import load_spec
from kdbench.training.optimisation import rate_factor
from kdbench.training.stopwatch import Stopwatch

CHUNK = 4096  # images drawn at once, with one look
BATCH = 128
LEARNING_RATE = {"cnn": 4e-3, "vit": 1.5e-3}
WEIGHT_DECAY = 0.05
WARMUP = 0.05
FIRST, SECOND = 0, 1  # the rounds
LOOKS = {  # contrast, texture gain and noise gain of a round: lowest, and one above the highest
    FIRST: ((16, 60), (24, 60), (6, 16)),
    SECOND: ((16, 60), (24, 60), (6, 30)),
}
IMAGES = {("cnn", FIRST): 200_000, ("vit", FIRST): 500_000, ("cnn", SECOND): 200_000, ("vit", SECOND): 450_000}


@dataclass(frozen=True)
class Chunks(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """The images of a round in chunks, (CHUNK, 3, 32, 32) in [-1, 1], with their shape and texture classes."""

    tables: Tables
    round: int
    seed: int
    numbers: range
    split: Split = "train"

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        number, tables = self.numbers[row], self.tables
        draws = SceneDraws(tables, "pretext", self.split, self.seed, first=number * CHUNK, count=CHUNK)
        look_draws = np.random.default_rng(seed_of("pretext-look", self.seed, number))
        saliences = Saliences(*(int(look_draws.integers(low, high)) for low, high in LOOKS[self.round]))
        shape, texture = draws.choose(0, len(tables.masks)), draws.choose(1, len(tables.train_textures))
        scenes = draws.scenes(draws.shape_mask(shape), draws.texture_fill(texture, self.split))
        images = torch.from_numpy(render(tables, scenes, saliences)).permute(0, 3, 1, 2)
        return images.float() / 127.5 - 1, torch.from_numpy(shape), torch.from_numpy(texture)


@torch.no_grad()
def accuracies(model: nn.Module, held_out: Chunks, device: torch.device) -> tuple[float, float]:
    """Return the accuracy on shape and on texture over one held-out chunk."""
    model.eval()
    images, shape, texture = held_out[0]
    logits = torch.cat([model(part.to(device)).cpu() for part in torch.split(images, 512)])
    model.train()
    count = len(held_out.tables.masks)
    return (
        (logits[:, :count].argmax(1) == shape).float().mean().item(),
        (logits[:, count:].argmax(1) == texture).float().mean().item(),
    )


@dataclass
class Pretraining:
    """The state that updates change: the network, its optimiser and its schedule."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def update(self, pixels: Tensor, shape: Tensor, texture: Tensor, shapes: int) -> Tensor:
        """Take one step on a batch and return the loss.

        Args:
            pixels: (B, 3, 32, 32) float in [-1, 1].
            shape: (B,) classes, named by the first `shapes` logits.
            texture: (B,) classes, named by the other logits.
            shapes: number of shapes.
        """
        logits = self.model(pixels)
        loss = F.cross_entropy(logits[:, :shapes], shape) + F.cross_entropy(logits[:, shapes:], texture)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()

    def save(self, path: Path, chunks: int) -> None:
        """Write a checkpoint after some chunks."""
        torch.save({**{name: part.state_dict() for name, part in vars(self).items()}, "chunk": chunks}, path)

    def restore(self, path: Path, device: torch.device) -> int:
        """Resume from a checkpoint, if there is one, and return the number of chunks that were used before."""
        if not path.exists():
            return 0
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        for name, part in vars(self).items():
            part.load_state_dict(state[name])
        return int(state["chunk"])


def begin(
    family: Family, start: Path | None, tables: Tables, stream: int, updates: int, device: torch.device
) -> Pretraining:
    """Return a network with a random classifier before its first update, with the trunk in `start` if it is given."""
    torch.manual_seed(seed_of("pretext-init", family, stream))
    spec = load_spec().tracks["synthetic"].backbones[family]
    classes = len(tables.masks) + len(tables.train_textures)
    model = create_model(spec.architecture, spec.arguments, num_classes=classes, cifar_stem=spec.cifar_stem)
    if start:
        model.load_state_dict(load_file(start), strict=False)
    model = model.to(device, memory_format=memory_format(family))  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE[family], weight_decay=WEIGHT_DECAY)
    factor = partial(rate_factor, total=updates, warmup=WARMUP, warmup_ends_at_peak=True)
    return Pretraining(model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor))


def pretrain(
    family: Family,
    images: int,
    start: Path | None,
    tables: Tables,
    out: Path,
    *,
    seed: int,
    device: torch.device,
    workers: int,
) -> None:
    """Train one round, the second one if there are weights to start from, and write the trunk."""
    this_round = SECOND if start else FIRST
    stream = len(LOOKS) * seed + this_round  # no two rounds, of one seed or of two, draw the same
    torch.set_num_threads(1)
    chunks, shapes, checkpoint = math.ceil(images / CHUNK), len(tables.masks), out.with_suffix(".state")
    training = begin(family, start, tables, stream, chunks * (CHUNK // BATCH), device)
    first = training.restore(checkpoint, device)
    held_out = Chunks(tables, this_round, stream, range(1), "test")
    drawn = DataLoader(
        Chunks(tables, this_round, stream, range(first, chunks)), batch_size=None, shuffle=False, num_workers=workers
    )
    stopwatch = Stopwatch(device)
    began = stopwatch.glance()
    for done, chunk in enumerate(drawn, first + 1):
        pixels, shape, texture = (part.to(device) for part in chunk)
        for part in range(0, CHUNK, BATCH):
            batch = slice(part, part + BATCH)
            of_batch = pixels[batch].contiguous(memory_format=memory_format(family))
            loss = training.update(of_batch, shape[batch], texture[batch], shapes)
        if done % 8 == 0 or done == chunks:
            left = (stopwatch.glance() - began) / (done - first) * (chunks - done)
            by_shape, by_texture = accuracies(training.model, held_out, device)
            print(
                f"{family} {done * CHUNK:7d} images: loss {loss.item():.3f}, held-out accuracy "
                f"shape {by_shape:.3f}, texture {by_texture:.3f}; about {left / 60:.1f} min left",
                flush=True,
            )
            training.save(checkpoint, done)
    weights = training.model.state_dict()
    save_file({k: v.cpu().contiguous() for k, v in weights.items() if not k.startswith(("fc.", "head."))}, out)
    checkpoint.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, required=True, help="family of the network to train")
    parser.add_argument("--start", type=Path, help="file of weights from a first round, with which the training starts")
    parser.add_argument("--images", type=int, help="number of pretext images (default: as for the shipped weights)")
    parser.add_argument(
        "--tables",
        type=Path,
        default=Path(__file__).with_name("pretext_tables.npz"),
        help="file that tables.py wrote for the pretext task",
    )
    parser.add_argument(
        "--out", type=Path, help="file to write (default: synthetic-FAMILY.safetensors next to this script)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the initial weights and of the images (the shipped weights have seed 0)",
    )
    parser.add_argument(
        "--device", type=torch.device, default=torch.device("cpu"), help="device to train on: cpu or cuda"
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="number of processes that draw images during the training"
    )
    arguments = parser.parse_args()
    images = arguments.images or IMAGES[arguments.family, SECOND if arguments.start else FIRST]
    out = arguments.out or Path(__file__).with_name(f"synthetic-{arguments.family}.safetensors")
    pretrain(
        arguments.family,
        images,
        arguments.start,
        read_tables(arguments.tables),
        out,
        seed=arguments.seed,
        device=arguments.device,
        workers=arguments.workers,
    )


if __name__ == "__main__":
    main()
