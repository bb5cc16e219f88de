"""Maps a function over chunks of images, in this process or in several."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from kdbench.data.array_types import AnyArray
from kdbench.interruptions import interruption_held_back
from kdbench.testsets.arrays import BuildProgress

CHUNK = 250  # images per call of a process


class Workers:
    """Runs functions in the processes of a pool or, without a pool, in this process."""

    def __init__(self, pool: ProcessPoolExecutor | None, progress: BuildProgress | None) -> None:
        self._pool = pool
        self._progress = progress

    def run(
        self, name: str, function: Callable[..., Any], arrays: tuple[AnyArray, ...], keywords: Mapping[str, Any]
    ) -> list[Any]:
        """Return `function(*chunks, **keywords)` for chunks of arrays of equally many rows, in order.

        Args:
            name: of the step, for the progress reports.
            function: importable by name.
            arrays: to cut into chunks.
            keywords: further arguments, the same for every chunk.
        """
        total = len(arrays[0])
        parts = (slice(start, start + CHUNK) for start in range(0, total, CHUNK))
        chunks = ((function, tuple(array[part] for array in arrays), keywords) for part in parts)
        results: list[Any] = []
        for result in self._results(chunks):
            results.append(result)
            if self._progress is not None:
                self._progress(name, min(len(results) * CHUNK, total), total)
        return results

    def _results(self, chunks: Iterator[Any]) -> Iterator[Any]:
        """Start the work on all chunks, and return the results in order as they come."""
        if self._pool is None:
            return map(_call, chunks)
        with interruption_held_back():  # which starts the processes of the pool
            return self._pool.map(_call, chunks)


@contextmanager
def start_workers(count: int, images: int, progress: BuildProgress | None) -> Iterator[Workers]:
    """Yield workers in new processes, which end with this one; where one process suffices, it is this one.

    Args:
        count: number of processes.
        images: that they have to make; there are no more processes than chunks of them.
        progress: called after each chunk.
    """
    count = min(count, -(-images // CHUNK))
    if count <= 1:
        yield Workers(None, progress)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
    try:
        yield Workers(pool, progress)
    finally:
        pool.shutdown(cancel_futures=True)


def _call(work: tuple[Callable[..., Any], tuple[AnyArray, ...], Mapping[str, Any]]) -> Any:
    function, arrays, keywords = work
    return function(*arrays, **keywords)


def _end_with_parent() -> None:
    """End this process as soon as its parent has ended, so that a killed build leaves no process behind."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
