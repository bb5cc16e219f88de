"""The commands `kdbench run` and `kdbench score` as functions, for scripts and notebooks."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdbench.plan.options import NO_CONTROLS, RANDOM_WEIGHTS, RunOptions

if TYPE_CHECKING:
    import pandas as pd


def run(
    methods: Sequence[str | Path] = (),
    *,
    out: str | Path = "runs",
    track: str = "synthetic",
    suite: str | None = None,
    questions: Sequence[str] = ("architecture",),
    directions: Sequence[str] = (),
    seeds: int | Sequence[int] | str = 0,
    pair: str = "",
    pair_arguments: Sequence[str] = (),
    pair_weights: str = RANDOM_WEIGHTS,
    configs: Mapping[str, Mapping[str, Any]] | None = None,
    controls: str = NO_CONTROLS,
    epochs: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
) -> "pd.DataFrame":
    """Train and evaluate methods as `kdbench run` does, and return the records of the results folder.

    Runs that have a record are not repeated. Every run has a process of its own, so in a script, call this below
    `if __name__ == "__main__":`; in a notebook, call it anywhere. Runs that fail do not end the call: they have a
    status and a reason in the data frame.

    Examples:
        >>> import kdbench
        >>> results = kdbench.run(["lm"], out="runs", seeds=range(3))  # doctest: +SKIP

    Args:
        methods: names of shipped methods or paths of method files; empty for those of the suite. `independent` is
            always trained, too.
        out: results folder.
        track: name of a track.
        suite: "quick", "core" or "full"; None for "core", or for `methods`.
        questions: "architecture", "planted", or both.
        directions: such as "cnn-to-vit"; empty for all directions of the track.
        pair: two networks of timm in place of the track's own, as "TEACHER:STUDENT"; makes runs unofficial.
        pair_arguments: of `timm.create_model` for them, such as `["student.patch_size=4"]`.
        pair_weights: "random" or "timm".
        seeds: random seeds, as a number, numbers, or a text such as "0-4".
        configs: settings by method, such as `{"lm": {"temperature": 2}}`.
        controls: "none", "basic", "frontier" or "all".
        epochs: of teachers and students, instead of those of the track; makes runs unofficial.
        limit_train: maximum images of the training set, at least 10; makes runs unofficial.
        limit_test: maximum images per test set, at least 10; makes runs unofficial.
        data_root: folder that holds CIFAR-10; None to download it.
        device: "auto", "cpu" or "cuda".
        workers: number of runs at a time; None for one per CPU core, or as many as a GPU has room for.

    Returns:
        A data frame of all records in `out`, one row per record and test set, as `kdbench.load_results` returns it.

    Raises:
        InputError: an argument is wrong, or something that the runs need is missing.
    """
    from rich.console import Console

    from kdbench.jobs.invocation import run as run_benchmark
    from kdbench.plan.pairs import with_pair
    from kdbench.records.frames import load_results

    options = RunOptions(
        track=track,
        methods=tuple(map(str, methods)),
        suite=suite,
        questions=tuple(questions),
        directions=tuple(directions),
        seeds=_seeds(seeds),
        configs=_configs(configs or {}),
        out=Path(out),
        controls=controls,
        epochs=epochs,
        limit_train=limit_train,
        limit_test=limit_test,
        data_root=Path(data_root) if data_root else None,
        device=device,
        workers=workers,
        command="kdbench.run",
    )
    run_benchmark(with_pair(options, pair, pair_arguments, pair_weights), Console(stderr=True))
    return load_results(out)


def _seeds(seeds: int | Sequence[int] | str) -> str:
    """Return seeds as `--seeds` takes them."""
    return str(seeds) if isinstance(seeds, int | str) else ",".join(map(str, seeds))


def _configs(configs: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the settings of methods as `--config` takes them."""
    return tuple(
        f"{name}.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for name, settings in configs.items()
        for key, value in settings.items()
    )


def score(folder: str | Path = "runs", *more: str | Path) -> "pd.DataFrame":
    """Score the records of results folders as `kdbench score` does, and return the scores.

    `scores.json` is written into the first folder, if that is possible; `kdbench.load_scores` reads it again. What
    cannot be read, such as a damaged record, is left out with a warning.

    Examples:
        >>> import kdbench
        >>> scores = kdbench.score("runs")
        >>> sorted(scores[scores.number == "transfer"].question.unique())
        ['architecture', 'planted']

    Args:
        folder: results folder, with `TRACK/RUN-TESTSETS/` in it.
        *more: further ones, such as `leaderboard/results`; if two have the same run, the first one counts.

    Returns:
        A data frame with one row per board, row and number, as `kdbench.load_scores` returns it.

    Raises:
        InputError: there are no records in one of the folders.
        RecordError: every record was refused; the message has the first reason.
    """
    from kdbench.scoring.board import require_boards, scores_text
    from kdbench.scoring.folders import score_folders
    from kdbench.scoring.frames import score_frame
    from kdbench.scoring.scores import Scores
    from kdbench.testsets.spec import load_spec

    folders = [Path(each) for each in (folder, *more)]
    scored = score_folders(folders, load_spec())
    require_boards(scored.scores, folders)
    for sentence in (*scored.faults, *scored.unwritten, *(refused.words for refused in scored.scores.refused)):
        warnings.warn(sentence, stacklevel=2)
    as_written = Scores.model_validate_json(scores_text(scored.scores))  # in the order of the file
    return score_frame(as_written)
