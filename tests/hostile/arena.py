"""A small benchmark in which hostile and careless methods run before a well-behaved one."""

import ctypes
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
import tomli_w
import torch

from kdbench.cli.main import main
from kdbench.records import PREDICTIONS, RESULT, Record, find_records, read_record
from kdbench.resources import shipped
from tests.command_line import Finished
from tests.hostile.sources import MARK, NAP, Parts, Places, placed, plain, source
from tests.time_limits import within_seconds

BATCH, STEPS = 8, 2
SETS = ("clean", "shape", "texture", "locality", "scramble-4", "noise", "cue-conflict")
SMALL = ("--limit-train", str(BATCH * STEPS), "--limit-test", "20", "--epochs", "1", "--directions", "vit-to-cnn")
OPTIONS = ("run", *SMALL, "--device", "cpu", "--no-mlflow")
BYSTANDER, PUPIL = "bystander", "pupil"  # the well-behaved methods, without and with a teacher
PATIENCE = 570  # seconds that a command may take on a busy machine before it counts as hanging
GRACE = 10.0  # seconds in which the processes of a command that has ended must be gone
LONGEST_REASON = 510  # characters, an ellipsis included
LARGEST_FILE = 20_000_000  # bytes
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
RECORD_FILES = {
    RESULT,
    PREDICTIONS,
    "training.json",
    "weights.safetensors",
    "logits.npz",
    "occlusion.npz",
    "log.txt",
    "method.py",
    "snapshots.npz",
}
SECRET_VARIABLE = "KDBENCH_TEST_SECRET"

CANARY = "torch.canary = True"
IPC_RMID = 0
LIBC = ctypes.CDLL(None)

Fingerprint = Mapping[str, tuple[int, int, int, str]]


@dataclass(frozen=True)
class Case:
    """A hostile or careless method, and the row that it must have.

    Attributes:
        name: of the method.
        parts: what it does and where.
        status: that the row may have.
        reason: a pattern that the row's reason must contain.
        honest: a row that is "ok" must be that of a method which does nothing but cross-entropy.
        rows: how many rows it has, one per teacher.
    """

    name: str
    parts: Parts
    status: str | tuple[str, ...] = "error"
    reason: str = ""
    honest: bool = True
    rows: int = 1

    @property
    def statuses(self) -> tuple[str, ...]:
        return (self.status,) if isinstance(self.status, str) else self.status


def small_spec() -> str:
    """Return the shipped spec with a synthetic track of few test sets, which trains on few images at a time."""
    spec = tomllib.loads(shipped("benchmark", "v1", "spec.toml").read_text())
    track = spec["tracks"]["synthetic"]
    track["training"]["batch_size"] = BATCH
    track["test_sets"] = [test_set for test_set in track["test_sets"] if test_set["name"] in SETS]
    return tomli_w.dumps(spec)


def fingerprint(folders: Iterable[Path], *, content: bool = False) -> Fingerprint:
    """Return what changes when anything below the folders does: mode, size, time and, if asked for, the bytes."""
    states = {}
    for folder in folders:
        for path in [folder, *sorted(folder.rglob("*"))]:
            if "__pycache__" in path.parts or ".git" in path.parts:
                continue
            state = path.lstat()
            is_file = path.is_file() and not path.is_symlink()
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if content and is_file else ""
            changed = state.st_mtime_ns if is_file else 0
            states[str(path)] = (state.st_mode, state.st_size if is_file else 0, changed, digest)
    return states


def essence(record: Record) -> dict[str, Any]:
    """Return what is the same whenever and beside whatever a run is done."""
    values: dict[str, Any] = json.loads(record.model_dump_json())
    values["digests"].pop("record")
    values["digests"]["files"].pop("log.txt", None)
    for volatile in ("timing", "finished", "peak_memory_bytes"):
        values.pop(volatile)
    for volatile in ("command", "commit"):  # somebody may commit meanwhile
        values["environment"].pop(volatile)
    for epoch in values["curves"]:
        epoch.pop("seconds")
    return values


def survivors() -> list[psutil.Process]:
    """Return the processes of this process's commands that still run, but for the server that they are forked from."""
    servers = [child for child in psutil.Process().children() if _is_server(child)]
    descended = [process for server in servers for process in server.children(recursive=True)]
    others = [child for child in psutil.Process().children() if child not in servers]
    marked = [process for process in psutil.process_iter(["name", "cmdline"]) if _is_marked(process)]
    return [process for process in {*descended, *others, *marked} if _is_alive(process)]


def _is_marked(process: psutil.Process) -> bool:
    """Whether a method of this suite named a process, or started it to sleep."""
    name, command = process.info["name"], process.info["cmdline"]
    return bool(name == MARK or command == ["sleep", NAP])


def _is_server(process: psutil.Process) -> bool:
    try:
        command = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return "forkserver" in command or "resource_tracker" in command


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_survivors() -> list[str]:
    """Wait until no process of a command is left; end those that do not go, and return what they were."""
    deadline = time.monotonic() + GRACE
    while (left := survivors()) and time.monotonic() < deadline:
        time.sleep(0.05)
    names = []
    for process in left:
        try:
            names.append(f"{process.pid} {process.name()}")
            process.kill()
        except psutil.Error:
            continue
    return names


@dataclass(frozen=True)
class Battle:
    """A command that ran hostile methods, and what was there before it.

    Attributes:
        finished: how the command ended, and what it printed.
        results, site: its folders.
        untouched: the state of what it may not change, before it ran.
        arena: where it ran.
        own: state of this process before it ran.
        bystanders: the well-behaved methods at the end of the plan.
        survivors: processes that outlived the command.
    """

    finished: Finished
    results: Path
    site: Path
    untouched: Fingerprint
    arena: "Arena"
    own: object
    bystanders: tuple[str, ...]
    survivors: tuple[str, ...]

    @cached_property
    def folders(self) -> dict[str, list[Path]]:
        """Folders of the records, by method."""
        folders: dict[str, list[Path]] = {}
        for folder in find_records(self.results):
            folders.setdefault(read_record(folder).method, []).append(folder)
        return folders

    def rows(self, method: str) -> list[Record]:
        """Return the records of a method."""
        return [read_record(folder) for folder in self.folders.get(method, [])]

    def assert_row(self, case: Case) -> None:
        """Assert that a method has the rows which its case demands, and nothing in them that it could hurt with."""
        folders = self.folders.get(case.name, [])
        assert len(folders) == case.rows, f"{len(folders)} rows; the command printed: {self.finished.stderr[-2000:]}"
        for folder in folders:
            record = read_record(folder)
            assert record.status in case.statuses, f"{record.status}, {record.reason}"
            assert (record.reason == "") == (record.status == "ok")
            assert_harmless(record.reason, LONGEST_REASON)
            if record.status != "ok":
                assert re.search(case.reason, record.reason), record.reason
            elif case.honest:
                self.arena.assert_like_independent(record, folder)
            assert {path.name for path in folder.iterdir()} <= RECORD_FILES
            assert_harmless((folder / RESULT).read_text(), 1_000_000)
            for path in folder.iterdir():
                assert path.is_file()
                assert not path.is_symlink()
                assert path.stat().st_size < LARGEST_FILE

    def assert_nothing_else_is_touched(self, *, failures: bool = True) -> None:
        """Assert that the command told of its runs in a sentence, and that it left everything else as it was."""
        self.assert_ended(1 if failures else 0)
        for name in self.bystanders:
            self.arena.assert_is_reference(name, self.folders.get(name, []))
        assert self.arena.untouched(self.results) == self.untouched
        assert self.arena.own_state() == self.own
        assert not any((self.results / ".scratch").glob("*"))
        page = (self.site / "index.html").read_text()
        assert_harmless(page, LARGEST_FILE)

    def assert_ended(self, code: int) -> None:
        """Assert the exit code, and that what was printed is short and harmless."""
        assert self.finished.returncode == code, self.finished.stderr
        assert not self.survivors, "processes outlived their command"
        assert "Traceback" not in self.finished.stdout + self.finished.stderr
        assert len(self.finished.stderr.strip().splitlines()) <= (1 if code else 0), self.finished.stderr
        if code == 1:
            assert "runs failed" in self.finished.stderr
        assert_harmless(self.finished.stdout, 60_000)
        assert_harmless(self.finished.stderr, 2_000)


def assert_harmless(text: str, longest: int) -> None:
    """Assert that a text is short and has no character that a terminal obeys."""
    assert len(text) <= longest
    assert not CONTROL.search(text), repr(CONTROL.search(text))


class Arena:
    """Results with trained teachers and an independent student, of which every command gets a copy.

    Args:
        folder: to work in.

    Attributes:
        imports_methods: whether this process has run the code of a harmless method file, as no command may.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.cache, self.outside = folder / "cache", folder / "outside"
        self.secret = folder / "home" / ".token"
        self.checkout = shipped("benchmark").parent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._unix, self._abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.outside.mkdir(parents=True)
        self.secret.parent.mkdir()
        self.secret.write_text("secret")
        self._unix.bind(str(self.outside / "socket"))
        self._abstract.bind(f"\0{MARK}")
        for listener in (self._unix, self._abstract):
            listener.listen()
            listener.setblocking(False)
        self._segment = os.getpid()
        self._segment_number = LIBC.shmget(self._segment, 4096, 0o1600)
        self._commands = 0
        self.spec = folder / "spec.toml"
        self.spec.write_text(small_spec())
        self._base, self._finished = folder / "base", folder / "finished"
        self._reference: dict[str, list[tuple[dict[str, Any], bytes]]] = {}
        self._neighbours: tuple[str, ...] = ()
        self._make_base()

    def close(self) -> None:
        """Stop listening, and give back the shared memory."""
        for listener in (self._listener, self._unix, self._abstract):
            listener.close()
        LIBC.shmctl(self._segment_number, IPC_RMID, None)

    def _make_base(self) -> None:
        """Train the teachers, an independent student and the well-behaved methods; keep what the latter are."""
        methods = [self.write(BYSTANDER, plain(BYSTANDER)), self.write(PUPIL, source(PUPIL, Parts(uses_teacher=True)))]
        methods.append(self.write("canary", source("canary", Parts(at_import=CANARY))))
        finished = self.command(self._base, *self.arguments(self._base, methods))
        self.imports_methods = hasattr(torch, "canary")
        assert finished.returncode == 0, finished.stderr
        shutil.copytree(self._base, self._finished)
        for folder in find_records(self._base):
            record = read_record(folder)
            if record.method in (BYSTANDER, PUPIL, "canary"):
                answers = (folder / PREDICTIONS).read_bytes()
                self._reference.setdefault(record.method, []).append((essence(record), answers))
                shutil.rmtree(folder)
        self._neighbours = tuple(str(folder.relative_to(self._base)) for folder in find_records(self._base))
        (alone,) = (folder for folder in find_records(self._base) if read_record(folder).method == "independent")
        self._independent = read_record(alone), (alone / PREDICTIONS).read_bytes()

    def arguments(self, results: Path, methods: Sequence[Path]) -> tuple[str, ...]:
        """Return the command line that runs method files on a results folder."""
        named = ",".join(str(path) for path in methods)
        site = results.parent / f"{results.name}-site"
        return (*OPTIONS, "--spec", str(self.spec), "--methods", named, "--out", str(results), "--site", str(site))

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a method file and return its path."""
        path = self.method(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def new_results(self) -> Path:
        """Return a results folder that holds the teachers and the independent student."""
        self._commands += 1
        results = self._folder / f"runs{self._commands}"
        shutil.copytree(self._base, results)
        return results

    def finished_results(self) -> Path:
        """Return a results folder that holds the records of the well-behaved methods too."""
        self._commands += 1
        results = self._folder / f"finished{self._commands}"
        shutil.copytree(self._finished, results)
        return results

    def method(self, name: str) -> Path:
        """Return the path of a method file that was written before."""
        return self._folder / "methods" / f"{name}.py"

    def places(self, results: Path) -> Places:
        """Return what a method of a command can aim at."""
        return Places(
            results=results,
            outside=self.outside,
            cache=self.cache,
            checkout=self.checkout,
            neighbours=tuple(results / name for name in self._neighbours),
            secret=self.secret,
            port=self._listener.getsockname()[1],
            socket=self.outside / "socket",
            segment=self._segment,
        )

    def fight(
        self, cases: Sequence[Case], *options: str, workers: int = 2, bystanders: tuple[str, ...] = (BYSTANDER,)
    ) -> Battle:
        """Run hostile methods and then well-behaved ones, in one command."""
        results = self.new_results()
        places = self.places(results)
        methods = [self.write(case.name, placed(source(case.name, case.parts), places)) for case in cases]
        methods += [self.method(name) for name in bystanders]
        return self.run(results, methods, "--workers", str(workers), *options, bystanders=bystanders)

    def run(
        self, results: Path, methods: Sequence[Path], *options: str, bystanders: tuple[str, ...] = (BYSTANDER,)
    ) -> Battle:
        """Run method files on a results folder."""
        untouched, own = self.untouched(results), self.own_state()
        finished = self.command(results, *self.arguments(results, methods), *options)
        left = end_survivors()
        site = results.parent / f"{results.name}-site"
        return Battle(finished, results, site, untouched, self, own, bystanders, tuple(left))

    def refused(self, path: Path) -> Finished:
        """Return what a command says of a method file that cannot be run; nothing may have come of it."""
        results = self.new_results()
        battle = self.run(results, [path])
        finished = battle.finished
        assert finished.returncode == 2, f"{finished.returncode}: {finished.stdout[-500:]} {finished.stderr[-2000:]}"
        assert finished.stderr.startswith("kdbench: error: ")
        assert len(finished.stderr.strip().splitlines()) == 1
        battle.assert_ended(2)
        assert self.untouched(results) == battle.untouched
        assert self.own_state() == battle.own
        assert {str(folder.relative_to(results)) for folder in find_records(results)} == set(self._neighbours)
        return finished

    def command(self, results: Path, *arguments: str) -> Finished:
        """Run the command line in this process; return how it ended and what it printed."""
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        limit = within_seconds(PATIENCE)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), limit:
            patch.setenv("COLUMNS", "200")
            patch.setenv("KDBENCH_CACHE", str(self.cache))
            patch.setenv(SECRET_VARIABLE, "secret")
            patch.setattr(sys, "argv", ["kdbench", *arguments])
            try:
                main()
            except SystemExit as ended:
                code = ended.code
        return Finished(int(str(code or 0)), out.getvalue(), err.getvalue())

    def untouched(self, results: Path) -> Fingerprint:
        """Return the state of what no run may change, the finished records of a results folder included."""
        neighbours = fingerprint((results / name for name in self._neighbours), content=True)
        folders = [self.outside, self.secret.parent, self.cache, self.checkout / "kdbench", self.checkout / "benchmark"]
        shared = [Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"), Path.home()]
        marked = {str(path): (0, 0, 0, "") for folder in shared for path in folder.glob(f"*{MARK}*")}
        return {**neighbours, **fingerprint(folders), **marked, **self._connections()}

    def _connections(self) -> Fingerprint:
        """Return what connected to the sockets of this process since it was last asked."""
        traces: dict[str, tuple[int, int, int, str]] = {}
        for listener in (self._listener, self._unix, self._abstract):
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            traces[f"a connection to {listener.getsockname()}"] = (0, 0, 0, "")
        return traces

    def own_state(self) -> object:
        """Return the state of this process that a method could have changed, were it ever imported here."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        return variables, list(sys.path), Path.cwd(), torch.get_num_threads(), torch.get_default_dtype()

    def assert_is_reference(self, name: str, folders: Sequence[Path]) -> None:
        """Assert that a well-behaved method has exactly the records that it has without hostile ones."""
        seen = [(essence(read_record(folder)), (folder / PREDICTIONS).read_bytes()) for folder in folders]
        expected = self._reference[name]
        assert [record for record, _ in seen] == [record for record, _ in expected]
        assert [answers for _, answers in seen] == [answers for _, answers in expected]

    def assert_like_independent(self, record: Record, folder: Path) -> None:
        """Assert that a run's network and answers are those of a student which learnt from the labels alone."""
        expected, answers = self._independent
        assert record.digests.weights == expected.digests.weights
        assert record.test == expected.test
        assert (folder / PREDICTIONS).read_bytes() == answers
        assert record.budget == expected.budget
        assert record.environment.threads == expected.environment.threads
