"""The places for runs on one device, and the jobs that are in them."""

from collections import deque
from dataclasses import dataclass, field

from kdbench.jobs.job import Job
from kdbench.jobs.launcher import Handle


@dataclass
class Slots:
    """The places for runs on one GPU, or on the CPU.

    A run in an ordinary place is trained and then evaluated, and the next one begins afterwards. Where runs overlap,
    one is trained while the one before it is evaluated and the one after it is prepared. On a GPU this hides the time
    in which CUDA starts and the CPU writes the record; on a CPU it would only divide a core differently.

    Attributes:
        gpu: as of a `Job`.
        number: of places.
        overlap: whether runs overlap.
        training: the trainings, by run id.
        prepared: trainings that wait for a place.
        evaluating: the evaluations, by run id.
        trained: evaluations that wait.
    """

    gpu: str | None
    number: int
    overlap: bool
    training: dict[str, Handle] = field(default_factory=dict)
    prepared: deque[Handle] = field(default_factory=deque)
    evaluating: dict[str, Handle] = field(default_factory=dict)
    trained: deque[Job] = field(default_factory=deque)
    _most_beside: dict[str, int] = field(default_factory=dict)

    @property
    def handles(self) -> list[Handle]:
        """All jobs that have a process."""
        return [*self.training.values(), *self.prepared, *self.evaluating.values()]

    @property
    def run_ids(self) -> set[str]:
        """The runs that are here and have not ended."""
        return {job.run.run_id for job in (*(handle.job for handle in self.handles), *self.trained)}

    @property
    def has_room(self) -> bool:
        """Whether another training may begin; if evaluations fall behind, trainings wait for them."""
        if self.overlap:
            return len(self.training) < self.number and not self.trained
        return len(self.training) + len(self.evaluating) + len(self.trained) < self.number

    @property
    def can_prepare(self) -> bool:
        """Whether another training may be prepared."""
        return self.overlap and len(self.prepared) < self.number

    @property
    def can_evaluate(self) -> bool:
        """Whether another evaluation may begin."""
        return len(self.evaluating) < self.number

    def remove(self, handle: Handle) -> None:
        """Forget a job whose process has ended."""
        run_id = handle.job.run.run_id
        if handle in self.prepared:
            self.prepared.remove(handle)
        elif self.training.get(run_id) is handle:
            del self.training[run_id]
        else:
            del self.evaluating[run_id]

    def note_neighbours(self) -> None:
        """Note how many jobs work on the GPU beside each training; call this whenever their number may change."""
        others = len(self.handles) - 1 if self.gpu is not None else 0
        for run_id in self.training:
            self._most_beside[run_id] = max(others, self._most_beside.get(run_id, 0))

    def beside(self, run_id: str) -> int:
        """Return the largest number of jobs that worked beside a training at once."""
        return self._most_beside.get(run_id, 0)
