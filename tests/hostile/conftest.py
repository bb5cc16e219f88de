"""One small benchmark for all hostile methods of a session, served by one fork server."""

from collections.abc import Iterator

import pytest

from tests.hostile.arena import Arena
from tests.hostile.refusals import Planner


@pytest.fixture(scope="session")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """The benchmark that hostile methods run in."""
    arena = Arena(tmp_path_factory.mktemp("arena"))
    yield arena
    arena.close()


@pytest.fixture(scope="session")
def trusted_arena(arena: Arena) -> Arena:
    """The benchmark, for methods that would end this process if it were the one that imports them."""
    if arena.imports_methods:
        pytest.fail("the process of the command imports method files; hostile ones would end this process")
    return arena


@pytest.fixture(scope="session")
def planner() -> Planner:
    """What describes method files while a command plans."""
    return Planner()
