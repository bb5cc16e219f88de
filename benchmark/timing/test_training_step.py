"""The cost of one training step: drawing the batch, teacher forward, student forward, loss, backward, update.

Before each step, a bare step of the same student is timed, so that the two times of a round can be compared on a
machine whose speed changes. The norms of gradients, which a run logs once per epoch, are not part of a step. Run it
with `kdbench timing`.
"""

import torch
from pytest_benchmark.fixture import BenchmarkFixture

from kdbench.methods.loading import load_submission
from kdbench.spec import Direction
from kdbench.testsets.spec import load_spec
from kdbench.timing.bare_step import bare_step
from kdbench.timing.timed_training import timed_training

ROUNDS, WARMUP_ROUNDS = 21, 3
MOST_IMAGES = 3000  # on a CPU, where a method's own pass over the whole training set would take minutes


def test_training_step(benchmark: BenchmarkFixture, case: tuple[str, Direction, str], device: str) -> None:
    track_name, direction, method = case
    track = load_spec().track(track_name)
    if device == "cpu":
        torch.set_num_threads(track.training.cpu_threads)
    images = track.data.num_train if device == "cuda" else min(track.data.num_train, MOST_IMAGES)
    training = timed_training(track, direction, method, torch.device(device), images)
    bare, bare_seconds = bare_step(track, direction, torch.device(device)), []
    benchmark.group = f"{track_name} {direction}"
    benchmark.pedantic(
        training.finished_step,
        setup=lambda: bare_seconds.append(bare()),
        rounds=ROUNDS,
        warmup_rounds=WARMUP_ROUNDS,
        iterations=1,
    )
    benchmark.extra_info.update(
        track=track_name,
        direction=direction,
        method=load_submission(method).name,
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
        batch_size=track.training.batch_size,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        bare_seconds=bare_seconds[WARMUP_ROUNDS:],
    )
