"""Imports the scripts of the validity studies, which import each other by file name."""

import sys
from importlib import import_module
from types import ModuleType

from kdbench.resources import shipped

VALIDITY = shipped("benchmark", "v1", "validity")


def study_module(name: str) -> ModuleType:
    """Return the script `name` of `benchmark/v1/validity` as a module."""
    if str(VALIDITY) not in sys.path:
        sys.path.append(str(VALIDITY))
    return import_module(name)
