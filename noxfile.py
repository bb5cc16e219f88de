"""The project's commands. `nox -s benchmark` and `nox -s tests` are the two to know; `nox --list` shows all.

PyTorch is big, so every session but `numpy` uses one environment, `.venv`, built on the first call and again only when
pyproject.toml changes. Its stamp, the digest of that file, is written last; an install that was interrupted is redone.
"""

import hashlib
import sys
from pathlib import Path

import nox

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "none"

ROOT = Path(__file__).parent
ENVIRONMENT = ROOT / ".venv"
BIN = ENVIRONMENT / "bin"
STAMP = ENVIRONMENT / "kdbench-installed"
UNFINISHED = ENVIRONMENT / "kdbench-installing"
OLDEST_PYTHON = (3, 11)
OTHER_NUMPYS = ("1.26.4", "2.0.2")  # an older line than the harness takes, and the oldest that it takes
NO_WHEELS_FOR = (3, 13)


def _digest() -> str:
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def _is_current() -> bool:
    return STAMP.is_file() and STAMP.read_text() == _digest() and (BIN / "kdbench").is_file()


def _create(session: nox.Session) -> None:
    """An empty environment, unless a working one is there. What an interrupted install left is not built upon."""
    usable = (BIN / "python").exists() and (BIN / "pip").exists()
    if usable and not UNFINISHED.exists():
        return
    if sys.version_info < OLDEST_PYTHON:
        session.error(f"kdbench needs Python 3.11 or later, and this nox runs on {sys.version.split()[0]}")
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        session.error("an install into .venv was interrupted, and this nox lives in it: use one from elsewhere")
    session.log("Creating the environment .venv")
    session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)


def _install(session: nox.Session) -> None:
    """Installs the project and its tools into `.venv`."""
    session.log("Installing kdbench, PyTorch and MLflow into .venv: minutes the first time, then seconds")
    digest = _digest()
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    command = ("-m", "pip", "install", "--disable-pip-version-check", "--editable", f"{ROOT}[dev]")
    try:
        session.run(str(BIN / "python"), *command, external=True)
    except nox.command.CommandFailed:  # pip ended by itself and undid what it had begun
        UNFINISHED.unlink()
        raise
    STAMP.write_text(digest)
    UNFINISHED.unlink()
    session.log("The environment is ready; later calls use it as it is")


def _run(session: nox.Session, program: str, *arguments: str) -> None:
    """Runs a program of the environment, which is made or brought up to date first."""
    if not _is_current():
        _create(session)
        _install(session)
    session.run(str(BIN / program), *arguments, external=True)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Train and score all methods and render the leaderboard; arguments after `--` go to `kdbench run`."""
    _run(session, "kdbench", "run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, a file a core at a time; arguments after `--` go to pytest."""
    _run(session, "python", "-m", "pytest", "--numprocesses", "auto", "--dist", "loadfile", *session.posargs)


@nox.session(venv_backend="venv")
def numpy(session: nox.Session) -> None:
    """Draw synthetic images with other versions of numpy: the bytes must be the pinned ones. Takes seconds."""
    if sys.version_info >= NO_WHEELS_FOR:
        session.skip("these versions of numpy come for Python 3.11 and 3.12 only")
    for version in OTHER_NUMPYS:
        session.install("--quiet", "--only-binary=numpy", f"numpy=={version}")
        session.run("python", "-m", "tests.pinned_bytes")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, types, and that imports point down."""
    _run(session, "ruff", "check", ".")
    _run(session, "ruff", "format", "--check", ".")
    _run(session, "mypy")
    _run(session, "lint-imports")


@nox.session
def timing(session: nox.Session) -> None:
    """Time a training step of each method; arguments after `--` go to `kdbench timing`."""
    _run(session, "kdbench", "timing", *session.posargs)


@nox.session
def leaderboard(session: nox.Session) -> None:
    """Render the leaderboard from the records at hand; arguments after `--` go to `kdbench leaderboard`."""
    _run(session, "kdbench", "leaderboard", *session.posargs)


@nox.session
def ui(session: nox.Session) -> None:
    """Compare runs in the MLflow UI; arguments after `--` go to `kdbench ui`."""
    _run(session, "kdbench", "ui", *session.posargs)
