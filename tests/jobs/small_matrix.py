"""A small matrix that one command trains, and what must hold of everything that the command writes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors import safe_open

from kdbench.files import DAMAGES
from kdbench.records import find_records, read_record
from kdbench.records.integrity import check_record
from tests.compare_checkouts import fingerprints

SETTINGS = ("--limit-train", "64", "--limit-test", "10", "--epochs", "2", "--directions", "vit-to-cnn")
METHOD_THAT_FAILS = """
import torch.nn.functional as F
from dataclasses import dataclass
from kdbench.api import BOTH, Method

class Stops(Method):
    name, paper, summary, directions = "stops", "", "fails by itself in its last step", BOTH
    images = "both networks see the images of the batch as they are"
    @dataclass(frozen=True)
    class Config:
        pass
    def __init__(self, task, config):
        super().__init__(task, config)
        self.total_steps = task.total_steps
    def step(self, run, batch):
        if run.step == self.total_steps - 1:
            raise ValueError("fails on purpose")
        run.backward_and_step(F.cross_entropy(run.student_forward(batch.images).logits, batch.labels))
"""
PLANNED = "Device:"  # the command prints it when it has its plan
MOST_SECONDS_TO_END = 180.0
_NUMBER = re.compile(r"[\d.,]+(?:e-?\d+)?(?: (?:ms|s|min|h|KiB|MiB|GiB)\b)?")


class SmallMatrix:
    """The folders that a command writes into, and the command.

    Attributes:
        folder: holds all of them.
        results: folder of the records.
        page: of the leaderboard.
        output: what the command printed when it was started last.
    """

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        self.folder, self.results = folder, folder / "runs"
        self.page, self.output = folder / "site" / "index.html", folder / "output.txt"
        self._options = (*options, "--out", str(self.results), "--site", str(self.page.parent), "--no-mlflow")
        self._temporary, self._cache = folder / "temporary", folder / "cache"

    def start(self, workers: int) -> subprocess.Popen[bytes]:
        """Start the command in a process group of its own."""
        self._temporary.mkdir(parents=True, exist_ok=True)
        environment = os.environ | {"KDBENCH_CACHE": str(self._cache), "TMPDIR": str(self._temporary)}
        command = [sys.executable, "-m", "kdbench", "run", *SETTINGS, *self._options, "--workers", str(workers)]
        with self.output.open("wb") as output:
            return subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def forget(self) -> None:
        """Remove everything that the command has written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def survivors(self) -> list[int]:
        """Return the processes of the command that do not end, although it has ended."""
        deadline = time.monotonic() + MOST_SECONDS_TO_END
        while (running := self._processes()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return running

    def _processes(self) -> list[int]:
        """Return the processes that have inherited the environment of the command."""
        mark = f"TMPDIR={self._temporary}".encode()
        survivors = []
        for pid in psutil.pids():
            try:
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    survivors.append(pid)
            except OSError:
                continue
        return survivors

    def damaged(self) -> Iterator[str]:
        """Yield every file that cannot be read whole and every record that does not fit, with the reason.

        Files that only begin to be written have names that begin with a dot, and so has the scratch folder.
        """
        kept = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        for path in kept:
            try:
                _read_whole(path)
            except DAMAGES as error:
                yield f"{path.relative_to(self.folder)} cannot be read: {type(error).__name__}: {error}"
        for folder in find_records(self.results):
            yield from (f"{folder.name}: {problem}" for problem in check_record(folder))

    def contents(self) -> dict[str, str]:
        """Return what must be the same whenever the matrix is done, by path: digests, and names where times enter."""
        places = (self.results, self.page.parent, self._cache, self._temporary)
        names = [path for place in places for path in place.rglob("*") if not _of_other_libraries(path)]
        contents = {str(path.relative_to(self.folder)): "a folder" if path.is_dir() else "a file" for path in names}
        contents |= fingerprints(self.folder)
        contents["site/index.html"] = self._page_without_numbers()
        for folder in find_records(self.results):
            environment = read_record(folder).environment.model_dump(exclude={"command"})
            contents[f"environment of {folder.name}"] = json.dumps(environment, sort_keys=True)
        return contents

    def _page_without_numbers(self) -> str:
        """Return the page without times and sizes, and without the places that the command line names."""
        return _NUMBER.sub("#", self.page.read_text().replace(str(self.folder), "FOLDER"))

    def phase(self, runs: int) -> str:
        """Return what the command was doing when it ended, as its folders show it.

        Args:
            runs: of the matrix.
        """
        if PLANNED not in self.output.read_text(errors="replace"):
            describes = any(self._temporary.glob("kdbench-describe-*"))
            return "reading the method files" if describes else "imports and planning"
        if not any(self.results.glob("*/gallery.npz")):
            return "building test sets"
        done = len(find_records(self.results))
        if done == runs:
            return "page" if (self.results / "scores.json").exists() else "scores"
        scratch = [path for path in self.results.glob(".scratch/*") if path.is_dir()]
        trains = any(not (path / "training.json").exists() for path in scratch)
        has_trained = any((path / "training.json").exists() for path in scratch)
        evaluates = has_trained or len(list(self.results.glob("[!.]*/*/"))) > done
        return {
            (True, True): "training and evaluation",
            (True, False): "training",
            (False, True): "evaluation",
            (False, False): "between two runs",
        }[trains, evaluates]


def _of_other_libraries(path: Path) -> bool:
    """Return whether a library made a file: PyTorch its cache, multiprocessing the folder of a socket."""
    return "torchinductor_" in str(path) or "pymp-" in str(path)


def _read_whole(path: Path) -> None:
    """Read a file as what its name says that it is; one of `DAMAGES` if it is not that."""
    readers: dict[str, Any] = {
        ".json": lambda: json.loads(path.read_bytes()),
        ".npy": lambda: np.load(path),
        ".npz": lambda: [array.shape for array in dict(np.load(path)).values()],
        ".pt": lambda: torch.load(path, weights_only=True),
        ".safetensors": lambda: _read_tensors(path),
        ".html": lambda: path.read_text().rindex("</html>"),
    }
    if path.suffix in readers and ".scratch" not in path.parent.name:
        readers[path.suffix]()


def _read_tensors(path: Path) -> None:
    with safe_open(path, "pt") as tensors:
        for name in tensors.keys():  # noqa: SIM118  (it is no mapping)
            tensors.get_tensor(name)
