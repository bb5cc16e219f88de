"""Pretrains the backbones of the synthetic track, one pair of a CNN and a ViT per number:

    python benchmark/v1/weights/pretrain.py --number 2 --minutes 8

The command trains until the pair is complete or the minutes are over. It continues where it stopped, also after an
interruption, and gives the weights of an uninterrupted training; repeat it until it says that the pair is complete.
Then add the lines that it prints to `pretrained` in the spec. Checkpoints are in the folder `--work`; accuracies are
appended to `pretrain.log`.

The pretext task is to name the shape and the texture of an image. Both are drawn independently from a vocabulary that
shares no shape and no texture with the benchmark (`pretext_tables.npz`); their losses have the same weight. Saliences
vary between chunks of images, so the weights do not depend on later choices of the saliences. The classifier is
discarded, and the trunk is stored in float16.

The ViT has two rounds. The second one continues from the trunk of the first one, with a random classifier, other
images, the same schedule and more noise: the ViT learns shapes only with little noise, and needs more noise to
recognise them on the track.

The number seeds the initial weights and the images. `--device cuda` and `--workers` shorten the training from more than
an hour to minutes.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from kdbench.data.array_types import Split
from kdbench.data.synthetic import Saliences, SceneDraws, Tables, read_tables, render
from kdbench.files import atomic_file, file_sha256
from kdbench.networks.backbone import create_model
from kdbench.networks.models import write_trunk
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
ROUNDS: dict[Family, tuple[int, ...]] = {"cnn": (FIRST,), "vit": (FIRST, SECOND)}
CHUNKS_PER_CHECKPOINT = 8
HERE = Path(__file__).parent
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
        """Write a checkpoint after some chunks, atomically."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_file(path) as file:
            torch.save({**state, "chunks": chunks}, file)

    def restore(self, path: Path, device: torch.device) -> int:
        """Resume from a checkpoint, if there is one, and return the number of chunks that were used before."""
        if not path.exists():
            return 0
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        return int(state["chunks"])

    def _parts(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}


@dataclass(frozen=True)
class Plan:
    """What all rounds of a command share.

    Attributes:
        number: of the pair.
        tables: of the pretext task.
        work: folder for checkpoints and for the trunks of first rounds.
        out: folder for the trunks of the pair.
        log: file to which accuracies are appended.
        device: to train on.
        workers: processes that draw images.
        images: in place of the number of images of every round; None for the rounds' own.
        stop_at: reading of `stopwatch` at which to stop; None for never.
    """

    number: int
    tables: Tables
    work: Path
    out: Path
    log: Path
    device: torch.device
    workers: int
    images: int | None
    stopwatch: Stopwatch
    stop_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.stop_at is not None and self.stopwatch.glance() > self.stop_at

    def trunk(self, family: Family) -> Path:
        """Return the path of a finished trunk."""
        return self.out / f"synthetic-{family}-{self.number}.safetensors"

    def checkpoint(self, family: Family, this_round: int) -> Path:
        """Return the path of a round's checkpoint, which stays until the trunk is complete."""
        return self.work / f"{family}-{self.number}-round-{this_round}.state"

    def note(self, text: str) -> None:
        """Print a line and append it to the log."""
        print(text, flush=True)
        with self.log.open("a") as file:
            file.write(f"{text}\n")


def begin(
    family: Family, start: Path | None, tables: Tables, stream: int, updates: int, device: torch.device
) -> Pretraining:
    """Return a network before its first update, with a random classifier and the trunk of an earlier round, if any."""
    torch.manual_seed(seed_of("pretext-init", family, stream))
    spec = load_spec().tracks["synthetic"].backbones[family]
    classes = len(tables.masks) + len(tables.train_textures)
    model = create_model(spec.architecture, spec.arguments, num_classes=classes, cifar_stem=spec.cifar_stem)
    if start:
        trained = torch.load(start, map_location="cpu", weights_only=True)["model"]
        trunk = {name: tensor for name, tensor in trained.items() if not name.startswith(("fc.", "head."))}
        model.load_state_dict(trunk, strict=False)
    model = model.to(device, memory_format=memory_format(family))  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE[family], weight_decay=WEIGHT_DECAY)
    factor = partial(rate_factor, total=updates, warmup=WARMUP, warmup_ends_at_peak=True)
    return Pretraining(model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor))


def train_round(plan: Plan, family: Family, this_round: int) -> Pretraining | None:
    """Train a round, or what is left of it; return None if the time was over before its end."""
    stream = len(LOOKS) * plan.number + this_round  # no two rounds, of one number or of two, draw the same
    chunks = math.ceil((plan.images or IMAGES[family, this_round]) / CHUNK)
    start = plan.checkpoint(family, this_round - 1) if this_round > FIRST else None
    training = begin(family, start, plan.tables, stream, chunks * (CHUNK // BATCH), plan.device)
    checkpoint = plan.checkpoint(family, this_round)
    first = training.restore(checkpoint, plan.device)
    drawn = DataLoader(
        Chunks(plan.tables, this_round, stream, range(first, chunks)),
        batch_size=None,
        shuffle=False,
        num_workers=plan.workers,
    )
    held_out = Chunks(plan.tables, this_round, stream, range(1), "test")
    for done, chunk in enumerate(drawn, first + 1):
        loss = _train_chunk(training, family, [part.to(plan.device) for part in chunk], len(plan.tables.masks))
        stopping = plan.is_over and done < chunks
        if done % CHUNKS_PER_CHECKPOINT == 0 or done == chunks or stopping:
            shape, texture = accuracies(training.model, held_out, plan.device)
            training.save(checkpoint, done)
            plan.note(
                f"pair {plan.number}, {family}, round {this_round + 1}: {done * CHUNK} of {chunks * CHUNK} images, "
                f"loss {loss.item():.3f}, held-out accuracy shape {shape:.3f}, texture {texture:.3f}"
            )
        if stopping:
            return None
    return training


def _train_chunk(training: Pretraining, family: Family, chunk: list[Tensor], shapes: int) -> Tensor:
    """Take the steps on a chunk and return the last loss."""
    pixels, shape, texture = chunk
    for first in range(0, CHUNK, BATCH):
        batch = slice(first, first + BATCH)
        of_batch = pixels[batch].contiguous(memory_format=memory_format(family))
        loss = training.update(of_batch, shape[batch], texture[batch], shapes)
    return loss


def make_pair(plan: Plan) -> bool:
    """Train what is missing of a pair; return whether the pair is complete."""
    torch.set_num_threads(1)
    for family in FAMILIES:
        if plan.trunk(family).exists():
            continue
        training = None
        for this_round in ROUNDS[family]:
            training = train_round(plan, family, this_round)
            if training is None:
                return False
        assert training is not None
        write_trunk(plan.trunk(family), training.model)
        for this_round in ROUNDS[family]:
            plan.checkpoint(family, this_round).unlink()
    return True


def spec_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of a complete pair for the spec."""
    for family in FAMILIES:
        path = plan.trunk(family)
        yield f'{family}: {{ file = "{path.name}", sha256 = "{file_sha256(path)}" }},'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, required=True, help="number of the pair, from 0")
    parser.add_argument("--minutes", type=float, help="time after which to stop and keep a checkpoint")
    parser.add_argument("--work", type=Path, default=Path("runs") / "pretraining", help="folder for checkpoints")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the weights (default: that of this script)")
    parser.add_argument("--log", type=Path, default=HERE / "pretrain.log", help="file for the accuracies")
    parser.add_argument("--images", type=int, help="images of every round, to try the script")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw images during the training")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    stopwatch = Stopwatch(arguments.device)
    plan = Plan(
        number=arguments.number,
        tables=read_tables(HERE / "pretext_tables.npz"),
        work=arguments.work,
        out=arguments.out,
        log=arguments.log,
        device=arguments.device,
        workers=arguments.workers,
        images=arguments.images,
        stopwatch=stopwatch,
        stop_at=stopwatch.glance() + 60 * arguments.minutes if arguments.minutes is not None else None,
    )
    if make_pair(plan):
        print(f"pair {plan.number} is complete", *spec_lines(plan), sep="\n")
    else:
        print(f"the time is over before pair {plan.number} is complete; repeat the command to continue")


if __name__ == "__main__":
    main()
