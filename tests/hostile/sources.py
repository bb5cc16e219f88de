"""Sources of method files, from a well-behaved one with hostile or careless statements in chosen places."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

MARK = f"hostile{os.getpid()}"
"""Name of every process that a hostile method leaves behind, so that it is found and ended."""
NAP = f"600.{os.getpid()}"
"""Seconds that every `sleep` command of a hostile method sleeps; it is found by them."""

_TOOLS = '''
import atexit, builtins, ctypes, errno, fcntl, gc, io, json, mmap, os, resource, shutil, signal, socket, stat, struct
import subprocess, sys, tempfile, threading, time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from kdbench.api import Method, Term


def mark():
    ctypes.CDLL(None).prctl(15, MARK.encode(), 0, 0, 0)


def leave(action):
    """Fork a process that leaves the group and the session, and runs `action`."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        mark()
        action()
    finally:
        os._exit(0)


def sleep_long():
    time.sleep(600)


def scratch():
    """The run's own folder: the one below `.scratch` that can be written, or what the harness names."""
    for folder in Path(RESULTS, ".scratch").glob("*"):
        try:
            (folder / "probe").touch()
            (folder / "probe").unlink()
        except OSError:
            continue
        return folder
    for thing in gc.get_objects():
        folder = getattr(thing, "folder", None) if type(thing).__name__ == "Assignment" else None
        if isinstance(folder, Path):
            return folder
    raise LookupError("no folder of the run is to be found")


def leaves(tensor):
    """The parameters that a tensor was computed from."""
    found, seen, stack = [], set(), [tensor.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        stack.extend(following for following, _ in node.next_functions)
    return found


def things(kind):
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def descriptors():
    return [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]


def to_each(action):
    """Do something to every descriptor that allows it."""
    for number in descriptors():
        try:
            action(number)
        except OSError:
            pass


def networks():
    return [thing for thing in things(nn.Module) if hasattr(thing, "get_classifier")]
'''

_METHOD = """
class Hostile(Method):
    name, paper, summary = {name!r}, "", "a method of the test suite"
    images = "both networks see the images of the batch as they are"
    directions, uses_teacher = ("vit-to-cnn",), {uses_teacher}
{variables}
    @dataclass(frozen=True)
    class Config:
{config}
    def __init__(self, task, config):
        super().__init__(task, config)
{init}
    def optimizers(self):
{optimizers}
    def prepare(self, run):
{prepare}
    def step(self, run, batch):
        teacher = run.teacher_forward(batch.images) if self.uses_teacher else None
{before}
        logits = run.student_forward(batch.images).logits
        loss = F.cross_entropy(logits, batch.labels)
        if teacher is not None:
            loss = loss + F.mse_loss(logits, teacher.logits)
{midst}
        run.backward_and_step({{"cross_entropy": loss}})
{after}
"""


@dataclass(frozen=True)
class Places:
    """What a hostile method aims at.

    Attributes:
        results: folder of the records of its own command.
        outside: a folder that no part of the benchmark writes to.
        cache: of test arrays.
        checkout: that kdbench is imported from.
        neighbours: folders of finished records below `results`.
        secret: a file in a home directory.
        port, socket: where this process listens, on 127.0.0.1 and on a Unix socket.
        segment: key of a segment of System V shared memory.
    """

    results: Path
    outside: Path
    cache: Path
    checkout: Path
    neighbours: tuple[Path, ...]
    secret: Path
    port: int
    socket: Path
    segment: int


@dataclass(frozen=True)
class Parts:
    """Statements of a method, by where they run.

    Attributes:
        at_import: after the imports, before the class.
        variables: in the body of the class.
        config: in the body of `Config`.
        init, optimizers, prepare: in the methods of these names.
        before, midst, after: in `step`: before the forward pass, between it and the update, and after the update.
        at_end: after the class.
        uses_teacher: whether the student has a teacher.
    """

    at_import: str = ""
    variables: str = ""
    config: str = ""
    init: str = ""
    optimizers: str = "return {}"
    prepare: str = ""
    before: str = ""
    midst: str = ""
    after: str = ""
    at_end: str = ""
    uses_teacher: bool = False


def plain(name: str) -> str:
    """Return the source of a method that does nothing wrong: cross-entropy alone."""
    return source(name, Parts())


def source(name: str, parts: Parts) -> str:
    """Return the source of a method of a name; constants such as `RESULTS` are added by `placed`."""
    inner = {
        "variables": _block(parts.variables, 4),
        "config": _block(parts.config, 8),
        **{
            key: _block(getattr(parts, key), 8) for key in ("init", "optimizers", "prepare", "before", "midst", "after")
        },
    }
    body = _METHOD.format(name=name, uses_teacher=parts.uses_teacher, **inner)
    return "\n".join([_TOOLS, dedent(parts.at_import), body, dedent(parts.at_end)])


def _block(statements: str, spaces: int) -> str:
    return indent(dedent(statements).strip("\n") or "pass", " " * spaces)


def placed(text: str, places: Places) -> str:
    """Return a source with the constants that tell it what to aim at."""
    values: Mapping[str, object] = {
        "MARK": MARK,
        "NAP": NAP,
        "PYTEST": os.getpid(),
        "RESULTS": str(places.results),
        "OUTSIDE": str(places.outside),
        "CACHE": str(places.cache),
        "CHECKOUT": str(places.checkout),
        "NEIGHBOURS": [str(folder) for folder in places.neighbours],
        "SECRET": str(places.secret),
        "PORT": places.port,
        "SOCKET": str(places.socket),
        "SEGMENT": places.segment,
    }
    return "".join(f"{key} = {value!r}\n" for key, value in values.items()) + text
