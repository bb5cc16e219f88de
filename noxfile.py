"""Define the project's nox sessions. Most users need `nox -s benchmark` and `nox -s tests`; `nox --list` shows all.

PyTorch is large, so all sessions except `numpy` and `metadata` share one environment, `.venv`. The first call builds
it; later calls update it only when pyproject.toml changes. Its stamp, the digest of that file, is written last, so an
interrupted installation is repeated.
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
SITE = ROOT / "build" / "docs" / "index.html"
STAMP = ENVIRONMENT / "kdbench-installed"
UNFINISHED = ENVIRONMENT / "kdbench-installing"
OLDEST_PYTHON = (3, 11)
OTHER_NUMPYS = ("1.26.4", "2.0.2")  # an older line than the harness supports, and the oldest version that it supports
NO_WHEELS_FOR = (3, 13)
MLCROISSANT = "mlcroissant==1.1.1"
ON_ALL_CORES = ("--numprocesses", "auto", "--dist", "loadfile")
BROWSER_TESTS = "tests/browser"


def _digest() -> str:
    return hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()


def _is_current() -> bool:
    return STAMP.is_file() and STAMP.read_text() == _digest() and (BIN / "kdbench").is_file()


def _create(session: nox.Session) -> None:
    """Create an empty environment, unless a working one exists; replace what an interrupted installation left."""
    usable = (BIN / "python").exists() and (BIN / "pip").exists()
    if usable and not UNFINISHED.exists():
        return
    if sys.version_info < OLDEST_PYTHON:
        session.error(f"kdbench needs Python 3.11 or later, but this nox runs on {sys.version.split()[0]}")
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        session.error(
            "an installation into .venv was interrupted, and this nox runs from .venv: call a nox outside of it"
        )
    session.log("Creating the environment .venv")
    session.run(sys.executable, "-m", "venv", "--clear", str(ENVIRONMENT), external=True)


def _install(session: nox.Session) -> None:
    """Install the project and its tools into `.venv`."""
    session.log("Installing kdbench, PyTorch and MLflow into .venv; this takes minutes the first time, then seconds")
    digest = _digest()
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    command = ("-m", "pip", "install", "--disable-pip-version-check", "--editable", f"{ROOT}[dev]")
    try:
        session.run(str(BIN / "python"), *command, external=True)
    except nox.command.CommandFailed:  # pip itself reported the failure and undid its changes
        UNFINISHED.unlink()
        raise
    STAMP.write_text(digest)
    UNFINISHED.unlink()
    session.log("The environment is ready; later calls reuse it")


def _run(session: nox.Session, program: str, *arguments: str, **environment: str) -> None:
    """Create or update the environment if necessary, then run one of its programs."""
    if not _is_current():
        _create(session)
        _install(session)
    session.run(str(BIN / program), *arguments, external=True, env=environment)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Train and score the paper's methods with one seed on the question of architecture, and render the leaderboard.

    Arguments after `--` go to `kdbench run`.
    """
    _run(session, "kdbench", "run", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite, but for `browser`, on all cores; arguments after `--` go to pytest."""
    _run(session, "python", "-m", "pytest", *ON_ALL_CORES, "--ignore", BROWSER_TESTS, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Use the leaderboard in a browser of the Chromium family, which must be installed; arguments go to pytest."""
    _run(session, "python", "-m", "pytest", *ON_ALL_CORES, BROWSER_TESTS, *session.posargs)


@nox.session(venv_backend="venv")
def numpy(session: nox.Session) -> None:
    """Check in seconds that other versions of numpy draw synthetic images with the pinned bytes."""
    if sys.version_info >= NO_WHEELS_FOR:
        session.skip("these versions of numpy have wheels for Python 3.11 and 3.12 only")
    for version in OTHER_NUMPYS:
        session.install("--quiet", "--only-binary=numpy", f"numpy=={version}")
        session.run("python", "-m", "tests.pinned_bytes")


@nox.session(venv_backend="venv")
def metadata(session: nox.Session) -> None:
    """Check the Croissant metadata of the data sets with the validator of MLCommons."""
    session.install("--quiet", MLCROISSANT)
    session.run("python", "-m", "tests.croissant_files")


@nox.session
def pin(session: nox.Session) -> None:
    """Freeze the synthetic test sets and the digests that tests pin anew; only for a new version of the benchmark."""
    _run(session, "python", "datasets/synthetic/freeze.py")
    _run(session, "python", "datasets/croissant.py")
    _run(session, "python", "-m", "tests.pins")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, types and the layers of imports."""
    _run(session, "ruff", "check", ".")
    _run(session, "ruff", "format", "--check", ".")
    _run(session, "mypy")
    _run(session, "lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into build/docs; a broken link is an error. Check the commands in the documents."""
    _run(session, "mkdocs", "build", "--strict", NO_MKDOCS_2_WARNING="1")
    _run(session, "python", "-m", "pytest", "--quiet", "tests/test_documents.py")
    session.log(f"The site is at {SITE}; `.venv/bin/mkdocs serve` shows it with its search")


@nox.session
def timing(session: nox.Session) -> None:
    """Time a training step of each method; arguments after `--` go to `kdbench timing`."""
    _run(session, "kdbench", "timing", *session.posargs)


@nox.session
def leaderboard(session: nox.Session) -> None:
    """Render the leaderboard from the records in runs/; arguments after `--` go to `kdbench leaderboard`."""
    _run(session, "kdbench", "leaderboard", *session.posargs)


@nox.session
def ui(session: nox.Session) -> None:
    """Compare runs in the MLflow UI; arguments after `--` go to `kdbench ui`."""
    _run(session, "kdbench", "ui", *session.posargs)
