"""Updates the Croissant metadata of the data sets: `python datasets/croissant.py`, which `nox -s pin` runs.

The texts in `*/croissant.json` are written by hand. This script fills in what follows from other files: the version,
size and SHA-256 of each file beside it, and the rows of the record set `test-sets`, which are those of the manifest.
`nox -s metadata` checks the files with `mlcroissant`.
"""

import json
from pathlib import Path
from typing import Any

from kdbench.files import file_sha256
from kdbench.resources import VERSION
from kdbench.testsets.frozen import read_manifest

HERE = Path(__file__).parent
DATA_SETS = ("synthetic", "cifar10")
TEST_SETS = "test-sets"


def updated(metadata: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the metadata of a data set with the numbers that its folder has now.

    Args:
        metadata: of a `croissant.json`.
        folder: that contains the files of the data set and its manifest.
    """
    return metadata | {
        "version": VERSION.replace("rc", "-rc."),  # Croissant asks for the form of Semantic Versioning
        "distribution": [_measured(file, folder) for file in metadata["distribution"]],
        "recordSet": [_filled(records, folder) for records in metadata["recordSet"]],
    }


def _measured(file: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the entry of a file with size and digest; unchanged for a file that lies elsewhere."""
    path = folder / file["contentUrl"]
    if not path.is_file():
        return file
    return file | {"contentSize": f"{path.stat().st_size} B", "sha256": file_sha256(path)}


def _filled(records: dict[str, Any], folder: Path) -> dict[str, Any]:
    if records["@id"] != TEST_SETS:
        return records
    names = [field["name"] for field in records["field"]]
    rows = [row.model_dump() for row in read_manifest(folder / "manifest.toml")]
    return records | {"data": [{f"{TEST_SETS}/{name}": row[name] for name in names} for row in rows]}


def as_text(metadata: dict[str, Any]) -> str:
    """Return the text of a `croissant.json`."""
    return json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    for name in DATA_SETS:
        path = HERE / name / "croissant.json"
        path.write_text(as_text(updated(json.loads(path.read_text()), path.parent)))


if __name__ == "__main__":
    main()
