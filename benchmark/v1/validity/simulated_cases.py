"""Measures how often intervals, ranks and words of simulated boards are right, one case at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from simulated_boards import BACKBONES, NATURAL, SimulatedBoard, board, one_bit_board, triangle

from kdbench.scoring.bootstrap import multi_bootstrap
from kdbench.scoring.dose_response import dose_response
from kdbench.scoring.estimates import Estimate, Score
from kdbench.scoring.findings import Verdict, verdicts
from kdbench.scoring.gap import gap_closed, gap_number, index_number, transfer_index
from kdbench.scoring.metrics import FloatArray
from kdbench.scoring.ranking import RankedNumber, surely_better
from kdbench.scoring.scores import DoseResponse, Finding
from kdbench.scoring.transfer import Contrast, transfer, transfer_number
from kdbench.spec import Scoring

QUESTIONS = {"alpha": "architecture", "tau": "planted"}
SMALL = (-0.2, 0.0, 0.0, 0.05, 0.05, 0.2, 1.0)

Cell = str | int | float
Case = dict[str, Cell]


@dataclass(frozen=True)
class Sample:
    """One simulated number: its score, and the data that it is computed from."""

    score: Score
    number: Callable[..., FloatArray]
    parts: tuple[FloatArray, ...]


def sample(
    name: str, share: float, seeds: int, backbone: float, random: np.random.Generator, scoring: Scoring
) -> Sample:
    """Draw one board and score the number of its only method."""
    if name in QUESTIONS:
        (contrast,) = board(QUESTIONS[name], (share,), seeds, backbone, random).rows
        return Sample(transfer(contrast, scoring), transfer_number, (contrast.products(),))
    drawn = triangle(share, seeds, backbone, random)
    if name == "TI":
        return Sample(transfer_index(drawn, scoring), index_number, drawn.parts)
    return Sample(gap_closed(drawn, scoring), gap_number, drawn.parts)


def true_value(name: str, share: float) -> float:
    """Return the true value of a number for a student that moved by `share` of the way."""
    return 1 - (1 - share) ** 2 if name == "G" else share


def random_of(*name: object) -> np.random.Generator:
    """Return the random numbers of one case, which do not depend on the other cases."""
    return np.random.default_rng([ord(letter) for letter in "/".join(map(str, name))])


def coverage(name: str, share: float, seeds: int, backbone: float, *, repetitions: int, scoring: Scoring) -> Case:
    """Measure how often the interval contains the truth, and that of the multi-bootstrap on a tenth of the boards."""
    random, truth = random_of("coverage", name, share, seeds, backbone), true_value(name, share)
    samples = [sample(name, share, seeds, backbone, random, scoring) for _ in range(repetitions)]
    estimates = [drawn.score for drawn in samples if isinstance(drawn.score, Estimate)]
    checks = [multi_bootstrap(drawn.number, drawn.parts, scoring.confidence) for drawn in samples[::10]]
    return {
        "number": name,
        "truth": round(truth, 4),
        "seeds": seeds,
        "backbone sd": f"{backbone:g}",
        "coverage": mean([score.low <= truth <= score.high for score in estimates]),
        "multi-bootstrap": mean([check[0] <= truth <= check[1] for check in checks if check]),
        "bias": mean([score.value for score in estimates]) - truth,
        "half-width": mean([score.high - score.low for score in estimates]) / 2,
        "undefined": 1 - len(estimates) / repetitions,
    }


def shared_pairs(question: str, share: float, backbone: float, *, repetitions: int, scoring: Scoring) -> Case:
    """Measure intervals of ten seeds, of which two start from each pair of backbones: as they are, and from means.

    The means are over the two seeds of a pair, so that the interval rests on five of them.
    """
    random = random_of("shared pairs", question, share, backbone)
    rows = [board(question, (share,), 2 * BACKBONES, backbone, random).rows[0] for _ in range(repetitions)]
    case: Case = {"question": question, "truth": share, "backbone sd": f"{backbone:g}"}
    for name, contrasts in (("ten seeds", rows), ("means of five pairs", [_mean_by_pair(row) for row in rows])):
        scores = [score for contrast in contrasts if isinstance(score := transfer(contrast, scoring), Estimate)]
        case[f"coverage, {name}"] = mean([score.low <= share <= score.high for score in scores])
        case[f"half-width, {name}"] = mean([score.high - score.low for score in scores]) / 2
    return case


def _mean_by_pair(contrast: Contrast) -> Contrast:
    students, teachers = (
        np.stack([part[pair::BACKBONES].mean(axis=0) for pair in range(BACKBONES)])
        for part in (contrast.students, contrast.teachers)
    )
    return Contrast(students, teachers, contrast.images)


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")


def null_bias(name: str, seeds: int, *, repetitions: int) -> Case:
    """Measure the mean of a number that should be 0, with and without correction for noise over seeds.

    Seeds are noisy and the teacher is close. The student of a natural teacher is a second independent one.
    """
    random, gap = random_of("null", name, seeds), NATURAL[:, None] / 2
    student, independent, teacher = random.normal(0, 0.03, (3, seeds, len(gap), repetitions))
    number = gap_number if name == "G" else index_number
    parts = (student, independent, teacher + gap)
    corrected, plain = number(*parts), number(*(part.mean(axis=0, keepdims=True) for part in parts))
    return {
        "number": name,
        "seeds": seeds,
        "mean": float(np.nanmean(corrected)) if seeds > 1 else float("nan"),
        "mean uncorrected": float(np.nanmean(plain)),
    }


def ranks(
    question: str, transfers: Sequence[float], seeds: int, backbone: float, *, repetitions: int, scoring: Scoring
) -> Case:
    """Measure how often equal and unequal methods are separated."""
    random = random_of("ranks", question, *transfers, seeds, backbone)
    shares = np.array(transfers)
    equal = (shares[:, None] == shares) & ~np.eye(len(transfers), dtype=bool)
    wrong, wrong_bare, right = [], [], []
    for _ in range(repetitions):
        rows = board(question, transfers, seeds, backbone, random).rows
        better = surely_better([_primary(contrast) for contrast in rows], scoring.confidence)
        bare = surely_better([_primary(_without_images(contrast)) for contrast in rows], scoring.confidence)
        wrong.append(bool(better[equal].any()))
        wrong_bare.append(bool(bare[equal].any()))
        right.append(float(better[shares[:, None] > shares].mean()) if len(set(transfers)) > 1 else float("nan"))
    return {
        "question": question,
        "true transfer": " ".join(f"{share:g}" for share in transfers),
        "seeds": seeds,
        "backbone sd": f"{backbone:g}",
        "equals told apart": mean(wrong),
        "the same, image error left out": mean(wrong_bare),
        "unequal pairs told apart": mean(right),
    }


def _primary(contrast: Contrast) -> RankedNumber:
    products = contrast.products()
    return RankedNumber(tuple(range(len(products))), (products,), transfer_number)


def _without_images(contrast: Contrast) -> Contrast:
    students, teachers = (np.repeat(part[..., :1], 3, axis=-1) for part in (contrast.students, contrast.teachers))
    return Contrast(students, teachers, contrast.images)


def words(question: str, seeds: int, backbone: float, *, repetitions: int, scoring: Scoring) -> Case:
    """Measure in which share of boards a word is wrong for some row, and how often large transfers are called so."""
    random = random_of("words", question, seeds, backbone)
    shown = [
        verdicts(board(question, SMALL, seeds, backbone, random).rows, len(SMALL), scoring) for _ in range(repetitions)
    ]
    wrong = {word: mean([_is_wrong(word, rows, scoring) for rows in shown]) for word in get_args(Finding)[:3]}
    beyond = [any(row.beyond and 0 <= truth <= 1 for row, truth in zip(rows, SMALL, strict=True)) for rows in shown]
    return {
        "question": question,
        "seeds": seeds,
        "backbone sd": f"{backbone:g}",
        **{f"wrong: {word}": share for word, share in wrong.items()},
        "wrong: overshoot or moved away": mean(beyond),
        "0.2 transfers": mean([rows[SMALL.index(0.2)].finding == "transfers" for rows in shown]),
        "0 is none larger": mean([rows[SMALL.index(0.0)].finding == "none larger" for rows in shown]),
    }


def _is_wrong(word: Finding, rows: Sequence[Verdict], scoring: Scoring) -> bool:
    """Return whether a board wrongly has a word in some row."""
    smallest = scoring.smallest_effect
    holds: Mapping[str, Callable[[float], bool]] = {
        "transfers": lambda truth: truth > smallest,
        "a trace": lambda truth: truth > 0,
        "none larger": lambda truth: truth < smallest,
    }
    return any(row.finding == word and not holds[word](truth) for row, truth in zip(rows, SMALL, strict=True))


def proportional(method: str, seeds: int, backbone: float, *, repetitions: int, scoring: Scoring) -> Case:
    """Measure how often a row is labelled "not proportional": `method` is a true tau, or "one bit"."""
    random = random_of("proportional", method, seeds, backbone)
    responses: list[DoseResponse] = []
    for _ in range(repetitions):
        drawn = _of_method(method, seeds, backbone, random)
        response = dose_response(drawn.rows[0], range(seeds), drawn.independents, scoring)
        assert isinstance(response, DoseResponse)
        responses.append(response)
    return {
        "method": method,
        "seeds": seeds,
        "backbone sd": f"{backbone:g}",
        "not proportional": mean([not response.proportional for response in responses]),
        "slope": mean([response.slope for response in responses]),
        "residual spread": mean([response.residual_spread for response in responses]),
        "seed spread": mean([response.seed_spread for response in responses]),
    }


def _of_method(method: str, seeds: int, backbone: float, random: np.random.Generator) -> SimulatedBoard:
    if method == "one bit":
        return one_bit_board(seeds, backbone, random)
    return board("planted", (float(method),), seeds, backbone, random)
