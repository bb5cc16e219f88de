"""Maps a function over chunks of images, in this process or in several."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from kdbench.testsets.arrays import Progress

CHUNK = 250  # images that a process works on at once


@dataclass(frozen=True)
class Step:
    """What to compute: `function(*chunks of arrays, **keywords)`; `name` is what progress is told."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[NDArray[Any], ...]
    keywords: Mapping[str, Any]


class Workers:
    """Runs steps over the processes of a pool, or in this one without a pool."""

    def __init__(self, pool: ProcessPoolExecutor | None, progress: Progress | None) -> None:
        self._pool = pool
        self._progress = progress

    def run(self, step: Step) -> list[Any]:
        """The function's results, a chunk each, in order."""
        total = len(step.arrays[0])
        parts = (slice(start, start + CHUNK) for start in range(0, total, CHUNK))
        chunks = ((step.function, tuple(one[part] for one in step.arrays), step.keywords) for part in parts)
        results: list[Any] = []
        for result in self._pool.map(_call, chunks) if self._pool is not None else map(_call, chunks):
            results.append(result)
            if self._progress is not None:
                self._progress(step.name, min(len(results) * CHUNK, total), total)
        return results


@contextmanager
def start_workers(count: int, progress: Progress | None) -> Iterator[Workers]:
    """Workers in `count` fresh processes, which end with this one; in this process for a count of 1."""
    if count <= 1:
        yield Workers(None, progress)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
    try:
        yield Workers(pool, progress)
    finally:
        pool.shutdown(cancel_futures=True)


def _call(work: tuple[Callable[..., Any], tuple[NDArray[Any], ...], Mapping[str, Any]]) -> Any:
    function, arrays, keywords = work
    return function(*arrays, **keywords)


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone: a killed build leaves no process behind."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
