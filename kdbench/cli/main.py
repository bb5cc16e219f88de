"""The command line: thin commands over the packages below. Heavy imports happen inside the commands that need them."""

import errno
import logging
import sys
from collections.abc import Callable
from difflib import SequenceMatcher
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from kdbench.cli import data, method_files, methods, profile, results, run, submit, tracking, trials, verify
from kdbench.cli.system import OutputError, open_standard_streams, sentence_of, silence_output, with_home
from kdbench.errors import InputError, KdbenchError, describe_error
from kdbench.interruptions import INTERRUPTED, INTERRUPTED_EXIT_CODE
from kdbench.resources import VERSION

RUN_EXAMPLE = "Example: kdbench run --methods lm --seeds 0-4"
COMMANDS: tuple[tuple[Callable[..., None], str], ...] = (
    (run.run, RUN_EXAMPLE),
    (method_files.new, "Example: kdbench new my-method --kind step"),
    (method_files.check, "Example: kdbench check my-method.py"),
    (trials.try_, "Example: kdbench try my-method.py"),
    (results.score, "Example: kdbench score runs leaderboard/results"),
    (results.leaderboard, "Example: kdbench leaderboard runs leaderboard/results --site page"),
    (results.forget, "Example: kdbench forget mine runs"),
    (verify.verify, "Example: kdbench verify runs/synthetic/0123456789abcdef-52b67082 --retrain"),
    (submit.submit, 'Example: kdbench submit my-method.py runs --author "Ada Lovelace" --citation "..." --licence MIT'),
    (tracking.track, "Example: kdbench track runs"),
    (tracking.ui, "Example: kdbench ui runs --port 5000"),
    (profile.profile, "Example: kdbench profile --model resnet50 --data ~/imagenet/val --results runs"),
    (methods.methods, "Example: kdbench methods"),
    (methods.spec, "Example: kdbench spec"),
    (methods.timing, "Example: kdbench timing --out timing.json"),
)


CLOSE = 0.75  # least similarity of an option that an error suggests


def name_of(command: Callable[..., None]) -> str:
    """Return the name of a command: that of its function, without the `_` that a word of Python needs."""
    return command.__name__.rstrip("_")


class OneSentenceErrors(TyperGroup):
    """Ends a command that fails with one sentence on standard error, and with the exit code of the error.

    With --debug, the error is raised instead.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, args)
        except KeyboardInterrupt:
            _end_interrupted()
        except Exception as error:
            _end_if_of_the_parser(error, ctx.command_path)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KdbenchError as error:
            if ctx.params["debug"]:
                raise
            _end(str(error), error.exit_code)
        except KeyboardInterrupt:
            _end_interrupted()
        except OutputError:
            raise
        except Exception as error:
            _end_if_of_the_parser(error, f"{ctx.command_path} {ctx.invoked_subcommand}")
            if ctx.params["debug"] or _is_of_the_parser(error):
                raise
            if isinstance(error, OSError) and (sentence := sentence_of(error)):
                _end(sentence, 2)
            _end(f"unexpected {describe_error(error)}; `kdbench --debug ...` shows where it happened", 1)


def _end_if_of_the_parser(error: Exception, command: str) -> None:
    """End the command if typer found a wrong option or argument; return if the error is another one.

    Args:
        error: any. Typer's own requests, to show the help or to exit, are left to typer.
        command: to name if the error does not know at which command it happened.
    """
    if not _is_of_the_parser(error) or type(error).__name__ == "NoArgsIsHelpError":
        return
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        help_command = f"{context.command_path if context else command} --help"
        _end(f"{_reason(error)} (`{help_command}` shows what is allowed)", 2)


def _reason(error: Any) -> str:
    """Return what typer says of a wrong option or argument, without a full stop."""
    if not hasattr(error, "possibilities"):
        return str(error.format_message()).rstrip(".")
    alike = " or ".join(sorted(name for name in error.possibilities or () if _is_close(name, error.option_name)))
    return f"there is no option {error.option_name}" + (f"; did you mean {alike}?" if alike else "")


def _is_close(option: str, given: str) -> bool:
    """Return whether an option is what somebody may have meant who gave another one."""
    name, given = option.strip("-"), given.strip("-")
    return name.startswith(given) or SequenceMatcher(None, name, given).ratio() >= CLOSE


def _is_of_the_parser(error: Exception) -> bool:
    """Return whether an error is typer's own, such as an unknown option or a request to exit."""
    return type(error).__module__.startswith(("typer", "click"))


def _end_interrupted() -> NoReturn:
    typer.echo(INTERRUPTED, err=True)
    sys.exit(INTERRUPTED_EXIT_CODE)


def _end_without_output(error: OutputError) -> NoReturn:
    """End a command whose standard output cannot be written any more; where its reader has gone, say nothing."""
    silence_output()
    if error.errno == errno.EPIPE:
        sys.exit(1)
    _end(f"standard output cannot be written: {error.strerror}; give the same command again to go on", 1)


def _end(sentence: str, exit_code: int) -> NoReturn:
    typer.echo(f"kdbench: error: {sentence}", err=True)
    sys.exit(exit_code)


app = typer.Typer(
    cls=OneSentenceErrors,
    help="Does a distilled student inherit its teacher's inductive biases, or only its accuracy?",
    epilog=RUN_EXAMPLE,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
app.add_typer(results.app, name="results")
for command, example in COMMANDS:
    app.command(name_of(command), epilog=example)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kdbench {VERSION}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _arguments() -> list[str]:
    try:
        return [with_home(argument) for argument in sys.argv[1:]]
    except InputError as error:
        _end(str(error), error.exit_code)


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    logging.basicConfig(format="kdbench: %(levelname)s: %(message)s", level=logging.WARNING)
    try:
        try:
            app(_arguments())
        finally:
            sys.stdout.flush()
    except OutputError as error:
        _end_without_output(error)
