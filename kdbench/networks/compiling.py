"""Compiles networks with torch.compile, and says where the compiler keeps what it made."""

import importlib.util
import logging
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kdbench.api import OutputField
from kdbench.networks.backbone import Backbone

VARIANTS: Final = 64  # that PyTorch keeps of one function, which all networks of a process share; its default is 8
CACHES: Final = ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
Backend = str | Callable[..., Any]

logger = logging.getLogger(__name__)


def compile_network(backbone: Backbone, backend: Backend = "inductor") -> None:
    """Run a network through torch.compile from now on, as one graph from the images to the fields of its output.

    PyTorch compiles a variant of the graph for each family, set of needed fields, size of the images, and mode
    (training or evaluation, with or without gradients), and all networks of a process share the variants. The names in
    the state dict stay the same. Graphs are kept after a backward pass, because the harness computes norms of
    gradients from them.

    Args:
        backbone: to compile. Get its shapes before, since their batch of one image would be a variant of its own.
        backend: of torch.compile.
    """
    from torch._dynamo import config as compiler
    from torch._functorch import config as graphs

    compiler.recompile_limit = VARIANTS
    graphs.donated_buffer = False
    backbone.compute = _Compiled(backbone, backend)


class _Compiled:
    """Computes the fields of a network by compiled code; without it, and with a warning, above the limit of variants.

    Args:
        backbone: the network.
        backend: of torch.compile.
    """

    def __init__(self, backbone: Backbone, backend: Backend) -> None:
        self._plain = backbone.fields
        # Without breaks of the graph and without dynamic shapes, PyTorch raises what it would otherwise work around.
        self._compiled = torch.compile(backbone.fields, backend=backend, fullgraph=True, dynamic=False)
        self._gave_up = False

    def __call__(self, images: Tensor, needs: frozenset[OutputField]) -> dict[str, Any]:
        from torch._dynamo.exc import FailOnRecompileLimitHit

        if self._gave_up:
            return self._plain(images, needs)
        try:
            return self._compiled(images, needs)
        except FailOnRecompileLimitHit:
            self._gave_up = True
            logger.warning(
                "the networks have been compiled in as many variants as are allowed, such as sizes of batches, so this "
                "one (%s) runs uncompiled from now on",
                f"{len(images)} images",
            )
            return self._plain(images, needs)


def obstacle_to_compiling(device: str) -> str | None:
    """Return what this machine lacks for torch.compile; None if nothing.

    Args:
        device: "cpu" or "cuda", for which networks are to be compiled.
    """
    if device == "cpu":
        compiler = os.environ.get("CXX", "g++")
        return None if shutil.which(compiler) else f"C++ compiler {compiler!r}"
    if importlib.util.find_spec("triton") is None:
        return "package triton"
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    if not any(map(shutil.which, compilers)):
        return f"C compiler ({' or '.join(compilers)})"
    headers = Path(sysconfig.get_path("include"), "Python.h")
    return None if headers.is_file() else f"headers of Python ({headers})"


@contextmanager
def compiler_cache(folder: Path) -> Iterator[None]:
    """Let the compiler read and keep its code in a folder, and do all of its work in this process.

    A process that the compiler started could outlive the block, and would be bound by none of the restrictions that
    this process accepts later.
    """
    from torch._inductor import config as inductor

    before, threads = {name: os.environ.get(name) for name in CACHES}, inductor.compile_threads
    os.environ |= {CACHES[0]: str(folder), CACHES[1]: str(folder / "triton")}
    inductor.compile_threads = 1
    try:
        yield
    finally:
        inductor.compile_threads = threads
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
