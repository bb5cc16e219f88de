"""The command line: thin commands over the packages below. Heavy imports happen inside the commands that need them."""

import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from kdbench.cli import data, methods, results, run, tracking
from kdbench.errors import KdbenchError, describe_error

RUN_EXAMPLE = "Example: kdbench run --methods lm --seeds 0-4"
COMMANDS: tuple[tuple[Callable[..., None], str], ...] = (
    (run.run, RUN_EXAMPLE),
    (results.score, "Example: kdbench score runs"),
    (results.leaderboard, "Example: kdbench leaderboard --out runs --site leaderboard/site"),
    (tracking.track, "Example: kdbench track --out runs"),
    (tracking.ui, "Example: kdbench ui --port 5000"),
    (methods.methods, "Example: kdbench methods"),
    (methods.spec, "Example: kdbench spec"),
    (methods.timing, "Example: kdbench timing --out timing.json"),
)


class OneSentenceErrors(TyperGroup):
    """Ends a command that fails with one sentence on standard error, and with the exit code of the error.

    With --debug, the error is raised instead.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KdbenchError as error:
            if ctx.params["debug"]:
                raise
            typer.echo(f"kdbench: error: {error}", err=True)
            sys.exit(error.exit_code)
        except Exception as error:
            if ctx.params["debug"] or _is_of_the_parser(error):
                raise
            typer.echo(
                f"kdbench: error: unexpected {describe_error(error)}; `kdbench --debug ...` shows where it happened",
                err=True,
            )
            sys.exit(1)


def _is_of_the_parser(error: Exception) -> bool:
    """Return whether an error is typer's own, such as an unknown option, which it reports itself."""
    return type(error).__module__.startswith(("typer", "click"))


app = typer.Typer(
    cls=OneSentenceErrors,
    help="Does a distilled student inherit its teacher's inductive biases, or only its accuracy?",
    epilog=RUN_EXAMPLE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
for command, example in COMMANDS:
    app.command(epilog=example)(command)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command line."""
    logging.basicConfig(format="kdbench: %(levelname)s: %(message)s", level=logging.WARNING)
    app()
