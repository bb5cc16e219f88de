"""Selects the cases to time: every method in every direction of every track that this machine can run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdbench.methods.directions import declared_directions
from kdbench.methods.files import list_submissions
from kdbench.methods.loading import load_submission
from kdbench.spec import Direction, Track
from kdbench.testsets.spec import load_spec

LARGEST_IMAGE_ON_CPU = 32  # pixels
Case = tuple[str, Direction, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kdbench")
    group.addoption("--methods", default="", help="method files, separated by colons (default: all submissions)")
    group.addoption("--tracks", default="", help="names of tracks, separated by commas (default: all that fit)")
    group.addoption("--device", default="cpu", choices=("cpu", "cuda"))


def _listed(config: pytest.Config, option: str, separator: str = ",") -> list[str]:
    return [part for part in str(config.getoption(option)).split(separator) if part]


def _fits(track: Track, device: str) -> bool:
    return device == "cuda" or track.data.image_size <= LARGEST_IMAGE_ON_CPU


def _cases(config: pytest.Config) -> Iterator[Case]:
    spec = load_spec()
    device = str(config.getoption("--device"))
    tracks = _listed(config, "--tracks") or [name for name, track in spec.tracks.items() if _fits(track, device)]
    for track in tracks:
        for direction in spec.track(track).directions:
            for method in _listed(config, "--methods", os.pathsep) or list_submissions():
                if direction in declared_directions(load_submission(method)):
                    yield track, direction, method


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = list(_cases(metafunc.config))
        metafunc.parametrize("case", cases, ids=["/".join((t, d, Path(m).name)) for t, d, m in cases])


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))
