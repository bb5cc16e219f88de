"""What all runs of one invocation share: the folders that they read and write, and some options."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from kdbench.plan.matrix import PlannedRun
from kdbench.plan.options import RunOptions
from kdbench.records import WEIGHTS, record_folder
from kdbench.resources import cache_folder
from kdbench.spec import TeacherKind

SCRATCH = ".scratch"


@dataclass(frozen=True)
class RunContext:
    """What all runs of one invocation share.

    Attributes:
        results: folder of the records.
        cache: folder of the built test arrays.
        data_root: folder that holds CIFAR-10; None to download it into the cache.
        weights_dir: folder of pretrained weights that are not shipped; None for the folder in the cache.
        diagnostics: whether runs are evaluated on the diagnostic sets, too.
        command: the command line, for the records.
        sandbox: whether trainings are confined as far as the kernel allows.
        stop_at: reading of `time.monotonic`, which all processes of a machine share, at which to stop; None for never.
    """

    results: Path
    cache: Path
    data_root: Path | None = None
    weights_dir: Path | None = None
    diagnostics: bool = False
    command: str = ""
    sandbox: bool = True
    stop_at: float | None = None

    def is_time_up(self, *, for_seconds: float = 0.0) -> bool:
        """Return whether the time of the invocation has been up for so many seconds."""
        return self.stop_at is not None and monotonic() >= self.stop_at + for_seconds

    def folder(self, run: PlannedRun) -> Path:
        """Return the folder of a run's record."""
        return record_folder(self.results, run.track.name, run.run_id, run.track.testsets_digest)

    def scratch(self, run: PlannedRun) -> Path:
        """Return the folder in which the training of a run writes; its files are not trusted."""
        return self.results / SCRATCH / self.folder(run).name

    def environment_file(self, run: PlannedRun) -> Path:
        """Return the file for the environment of a run, which the harness writes and the training cannot change."""
        return self.results / SCRATCH / f"{self.folder(run).name}.json"

    def reference_folders(self, run: PlannedRun) -> dict[TeacherKind, Path]:
        """Return the folders of the teachers that a run is compared with; those without weights are left out."""
        folders = {teacher.kind: self.folder(teacher) for teacher in run.references}
        return {kind: folder for kind, folder in folders.items() if (folder / WEIGHTS).exists()}


def context_of(options: RunOptions) -> RunContext:
    """Return the context that the options describe."""
    return RunContext(
        results=options.out.resolve(),
        cache=cache_folder(),
        data_root=options.data_root.resolve() if options.data_root else None,
        weights_dir=options.weights_dir.resolve() if options.weights_dir else None,
        diagnostics=options.with_diagnostics,
        command=options.command,
        sandbox=options.sandbox,
        stop_at=options.stop_at,
    )
