"""kdbench: does a distilled student inherit its teacher's inductive biases, or only its accuracy?

The public library. Its names are imported when they are first used, so that `import kdbench` is fast:

- `Method`: the base class of a submission (`kdbench.api`).
- `run(methods, ...)`: trains and evaluates methods, and returns their records as a pandas data frame.
- `score(folder, ...)`: scores the records of results folders, and returns the scores as a data frame.
- `load_results(folder, ...)`: the records of results folders as a data frame.
- `load_scores(folder)`: the scores of a results folder as a data frame.
- `profile(model, ...)`: the bias profile of any network that returns logits.

`docs/library.ipynb` uses them all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kdbench.resources import VERSION

if TYPE_CHECKING:
    from kdbench.api import Method
    from kdbench.library import run, score
    from kdbench.profiling.profiling import profile
    from kdbench.records.frames import load_results
    from kdbench.scoring.frames import load_scores

__version__ = VERSION
__all__ = ["Method", "__version__", "load_results", "load_scores", "profile", "run", "score"]

_MODULES = {
    "Method": "kdbench.api",
    "load_results": "kdbench.records.frames",
    "load_scores": "kdbench.scoring.frames",
    "profile": "kdbench.profiling.profiling",
    "run": "kdbench.library",
    "score": "kdbench.library",
}


def __getattr__(name: str) -> object:
    """Import a name of the library when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'kdbench' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
