"""Lay the documentation site out as the repository is, so that a relative link leads to the same text in both.

MkDocs builds sites from one folder, but kdbench has documents in several: a datasheet is beside its data, and the
protocol beside the spec. This hook hands the documents of all folders to MkDocs under their paths in the repository.
"""

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SHOWN = (
    "*.md",
    "docs/*.md",
    "docs/reference/*.md",
    "docs/*.ipynb",
    "benchmark/**/*.md",
    "datasets/*/*.md",
    "leaderboard/results/*.md",
)
LINKED = ("docs/*.css", "docs/*.png", "datasets/*/*.png", "kdbench/api.py", "CITATION.cff")


class Notebook(File):
    """A notebook, which is a page, too."""

    def is_documentation_page(self) -> bool:
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the documents of the repository, and the files of the theme."""
    root = Path(config.config_file_path).parent
    of_the_theme = [file for file in files if file.src_dir != config.docs_dir]
    paths = sorted({path for pattern in SHOWN + LINKED for path in root.glob(pattern)})
    return Files([*of_the_theme, *(_file(path, root, config) for path in paths)])


def _file(path: Path, root: Path, config: MkDocsConfig) -> File:
    place = path.relative_to(root).as_posix()
    if path.suffix == ".ipynb":
        return Notebook.generated(config, place, content=as_markdown(json.loads(path.read_text(encoding="utf-8"))))
    return File.generated(config, place, abs_src_path=str(path))


def as_markdown(notebook: dict[str, Any]) -> str:
    """Return a notebook without its outputs: the texts as they are, the code in blocks."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return "\n\n".join(f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells)
