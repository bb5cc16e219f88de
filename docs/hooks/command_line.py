"""Write the reference of the command line from the commands themselves."""

import re
from typing import Any

import typer.main
from typer.cli import get_docs_for_click

from kdbench.cli.main import app

PLACE = "<!-- the commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the reference where a page wants it."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """Return what `--help` says of every command, as Markdown with a heading per command."""
    command: Any = typer.main.get_command(app)
    _say_whole_sentences(command)
    written = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="kdbench"), name="kdbench")
    without_title = written.partition("\n")[2]
    examples = re.sub(r"^Example: (.+)$", r"**Example**:\n\n```console\n$ \1\n```", without_title, flags=re.M)
    return re.sub(r"(?<=\S)\*(?=\.)", r"\\*", examples)


def _say_whole_sentences(command: Any) -> None:
    """Give each command its whole first sentence, which is otherwise cut at 45 letters in the list of its group."""
    for each in getattr(command, "commands", {}).values():
        each.short_help = re.split(r"(?<=\.)\s", each.help)[0].replace("\n", " ")
        _say_whole_sentences(each)
