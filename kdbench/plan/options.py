"""The options of a command: one frozen object that the command line fills and everything else reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import InputError
from kdbench.spec import OpenPair

MOST_SEEDS = 1000
LARGEST_SEED = 2**63 - 1
DEFAULT_SUITE = "core"
SUITES = ("quick", DEFAULT_SUITE, "full")
NO_CONTROLS = "none"
CONTROL_GROUPS = ("basic", "frontier")
CONTROL_CHOICES = (NO_CONTROLS, *CONTROL_GROUPS, "all")
RANDOM_WEIGHTS = "random"
PAIR_WEIGHTS = (RANDOM_WEIGHTS, "timm")


@dataclass(frozen=True)
class TestSetOptions:
    """Which test sets are opened, what they are made from, and on which device.

    Attributes:
        track: name of a track of the spec.
        spec: a spec file to use instead of the shipped one; None for the shipped one.
        data_root: folder that holds CIFAR-10; None to download it into the cache.
        weights_dir: folder of pretrained weights that are not shipped; None to fetch them into the cache.
        limit_test: maximum images per test set.
        style: picture in whose style the stylised set is rendered.
        diagnostics: whether to open the diagnostic sets, too.
        device: "auto", "cpu" or "cuda".
        workers: number of runs at a time on the CPU or on each GPU; None to decide by cores and memory.
        yes: with `device` "cpu", whether to do on the CPU what needs a GPU.
    """

    __test__ = False

    track: str = "synthetic"
    spec: Path | None = None
    data_root: Path | None = None
    weights_dir: Path | None = None
    limit_test: int | None = None
    style: Path | None = None
    diagnostics: bool | None = None
    device: str = "auto"
    workers: int | None = None
    yes: bool = False

    @property
    def with_diagnostics(self) -> bool:
        """Whether to open the diagnostic sets."""
        return bool(self.diagnostics)

    @property
    def cpu_confirmed(self) -> bool:
        """Whether the user chose the CPU explicitly and accepts that the work takes long."""
        return self.device == "cpu" and self.yes


@dataclass(frozen=True)
class RunOptions(TestSetOptions):
    """The options of `kdbench run`, before they are checked.

    Attributes:
        methods: names or files of methods; empty for those of the suite.
        suite: name of a suite of methods; None for the default one, or for `methods`.
        questions: names of questions that the track poses.
        directions: empty for all directions of the track.
        seeds: as `parse_seeds` reads them.
        configs: settings of methods, as `kdbench.plan.sweeps` reads them.
        sweep: a TOML file with further settings of methods; None without one.
        out: folder of the records.
        limit_train: maximum images of the training set.
        epochs: replaces the epochs of teachers and students.
        controls: which control arms to run: "none", a group of them, "all", or names separated by commas.
        retry_failed: whether to run failed runs again.
        time_limit: seconds of wall time per job.
        memory_limit: GiB of memory per job.
        compile: whether to train through torch.compile; None to do as the track says.
        command: the command line, for the records.
        sandbox: whether trainings are confined as far as the kernel allows; if not, runs are unofficial.
        stop_at: reading of `time.monotonic` at which the invocation stops, whatever is left; None to do all runs.
        pair: networks of the open division in place of the track's own; None for those.
    """

    methods: Sequence[str] = ()
    suite: str | None = None
    questions: Sequence[str] = ("architecture",)
    directions: Sequence[str] = ()
    seeds: str = "0"
    configs: Sequence[str] = ()
    sweep: Path | None = None
    out: Path = Path("runs")
    limit_train: int | None = None
    epochs: int | None = None
    controls: str = NO_CONTROLS
    retry_failed: bool = False
    time_limit: float = 4 * 3600
    memory_limit: float = 16.0
    compile: bool | None = None
    command: str = "kdbench run"
    sandbox: bool = True
    stop_at: float | None = None
    pair: OpenPair | None = None

    @property
    def with_diagnostics(self) -> bool:
        """Whether to evaluate on the diagnostic sets; by default only with controls, since both explain scores."""
        return self.controls != NO_CONTROLS if self.diagnostics is None else self.diagnostics


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds in a text such as "0", "0,3" or "0-4".

    Raises:
        InputError: the text is not a list of seeds, or lists more than 1,000 or one that is too large.
    """
    try:
        ranges = [_seed_range(part.strip()) for part in text.split(",")]
    except ValueError:
        ranges = [range(0)]
    if not all(ranges):
        raise InputError(f"--seeds {text!r} is not a list of seeds; write 0, or 0,1,2, or 0-4")
    if sum(seeds.stop - seeds.start for seeds in ranges) > MOST_SEEDS:
        raise InputError(f"--seeds {text!r} lists more than {MOST_SEEDS:,} seeds; give fewer at a time")
    if max(seeds.stop for seeds in ranges) > LARGEST_SEED + 1:
        raise InputError(f"--seeds {text!r} has a seed over {LARGEST_SEED}; give a smaller one")
    return tuple(dict.fromkeys(seed for seeds in ranges for seed in seeds))


def _seed_range(part: str) -> range:
    """Return the seeds of "3" or "0-4"; ValueError if the text is neither."""
    first, dash, last = part.partition("-")
    return range(int(first), int(last if dash else first) + 1)
