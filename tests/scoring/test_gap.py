"""Movement towards a teacher: identities, the paper's tables as known answers, and what stays undefined."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdbench.leaderboard.published import PublishedTable, read_published
from kdbench.scoring.estimates import Estimate, Score, Undefined
from kdbench.scoring.gap import (
    NO_GAP,
    NO_MOVEMENT,
    Triangle,
    cosine,
    drift,
    gap_closed,
    gap_number,
    gap_terms,
    index_number,
    transfer_index,
)
from kdbench.scoring.metrics import FloatArray, chance_corrected
from kdbench.testsets.spec import load_spec

SCORING = load_spec().scoring
INDEPENDENT = np.array([0.4, 0.6, 0.15, 0.3, 0.7])
GAP = np.array([0.20, -0.30, 0.02, -0.12, 0.10])


def seeds_of(
    means: FloatArray, seeds: int = 5, *, entropy: int = 0, spread: float = 0.01, images: float = 0.003
) -> FloatArray:
    """(seeds, axes, 1 + 200): means with noise over seeds, and resamples with an error that all seeds share."""
    random = np.random.default_rng(entropy)
    values = means + random.normal(0, spread, (seeds, len(means)))
    return np.concatenate([values[..., None], values[..., None] + random.normal(0, images, (len(means), 200))], axis=-1)


def made(parts: Sequence[FloatArray]) -> Triangle:
    students, independent, teachers = parts
    return Triangle(students, independent, teachers, images=1000)


def triangle(
    student: FloatArray,
    *,
    seeds: int = 5,
    spread: float = 0.01,
    teacher: FloatArray = INDEPENDENT + GAP,
    images: float = 0.003,
) -> Triangle:
    """A student, the independent one and a teacher, from mean profiles."""
    parts = [
        seeds_of(mean, seeds, entropy=number, spread=spread, images=images)
        for number, mean in enumerate((student, INDEPENDENT, teacher))
    ]
    return made(parts)


def exact(student: FloatArray, *, teacher: FloatArray = INDEPENDENT + GAP) -> Triangle:
    """Without noise over seeds; with a little over images, since an interval of no width is none."""
    parts = [seeds_of(mean, 3, spread=0, images=1e-9) for mean in (student, INDEPENDENT, teacher)]
    return made(parts)


def value(score: Score) -> float:
    assert isinstance(score, Estimate), score
    return score.value


@pytest.mark.parametrize("share", [-0.5, 0.0, 0.3, 0.5, 1.0, 1.6])
def test_on_the_line_gap_and_index_are_known(share: float) -> None:
    """d = i + L (t - i): TI = L, G = 1 - (1 - L)^2, no drift."""
    on_line = exact(INDEPENDENT + share * GAP)
    assert value(transfer_index(on_line, SCORING)) == pytest.approx(share, abs=1e-5)
    assert value(gap_closed(on_line, SCORING)) == pytest.approx(1 - (1 - share) ** 2, abs=1e-5)
    assert value(drift(on_line, SCORING)) == pytest.approx(0, abs=1e-3)
    if share:
        assert value(cosine(on_line, SCORING)) == pytest.approx(np.sign(share), abs=1e-5)


def test_movement_off_the_line_lowers_the_gap_closed_and_is_called_drift() -> None:
    across = np.array([0.3, 0.2, 0.0, 0.0, 0.0])
    assert across @ GAP == pytest.approx(0)
    off_line = exact(INDEPENDENT + 0.5 * GAP + across)
    ratio = np.linalg.norm(across) / np.linalg.norm(GAP)
    assert value(transfer_index(off_line, SCORING)) == pytest.approx(0.5, abs=1e-5)
    assert value(drift(off_line, SCORING)) == pytest.approx(ratio, abs=1e-5)
    assert value(gap_closed(off_line, SCORING)) == pytest.approx(0.75 - ratio**2, abs=1e-5)
    assert value(cosine(off_line, SCORING)) == pytest.approx(0.5 / np.hypot(0.5, ratio), abs=1e-5)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("number", [gap_closed, transfer_index, drift, cosine])
def test_fewer_than_three_seeds_are_not_enough(number: Callable[..., Score], seeds: int) -> None:
    few = number(triangle(INDEPENDENT + 0.5 * GAP, seeds=seeds), SCORING)
    assert few == Undefined(reason=f"3 seeds are needed, the row has {seeds}")


@pytest.mark.parametrize("number", [gap_closed, transfer_index, drift, cosine])
def test_a_teacher_like_the_independent_student_leaves_all_undefined(number: Callable[..., Score]) -> None:
    alike = triangle(INDEPENDENT + 0.5 * GAP, teacher=INDEPENDENT, spread=0.03)
    assert number(alike, SCORING) == Undefined(reason=NO_GAP)


def test_a_student_like_the_independent_one_has_moved_nowhere() -> None:
    still = triangle(INDEPENDENT, spread=0.03)
    assert cosine(still, SCORING) == Undefined(reason=NO_MOVEMENT)
    closed = gap_closed(still, SCORING)
    assert isinstance(closed, Estimate)
    assert closed.low < 0 < closed.high


def test_intervals_cover_seeds_and_images_and_hold_their_value() -> None:
    drawn = triangle(INDEPENDENT + 0.5 * GAP)
    for number in (gap_closed, transfer_index, drift, cosine):
        score = number(drawn, SCORING)
        assert isinstance(score, Estimate)
        assert (score.covers, score.seeds, score.images) == ("seeds and images", 5, 1000)
        assert score.low <= score.value <= score.high
        assert score.low < score.high


@given(st.permutations(range(5)), st.permutations(range(5)))
@settings(max_examples=8, deadline=None)
def test_the_order_of_axes_and_of_seeds_does_not_matter(axes: list[int], seeds: list[int]) -> None:
    drawn = triangle(INDEPENDENT + 0.5 * GAP)
    moved = made([part[seeds][:, axes] for part in drawn.parts])
    for number in (gap_closed, transfer_index, drift, cosine):
        before, after = number(drawn, SCORING), number(moved, SCORING)
        assert isinstance(before, Estimate)
        assert isinstance(after, Estimate)
        assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high), abs=3e-6)


@given(st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_nobody_closes_more_than_the_whole_gap(offset: list[float]) -> None:
    assert gap_number(*exact(INDEPENDENT + np.array(offset)).parts)[0] <= 1 + 1e-9


def test_distances_are_not_inflated_by_noise_over_seeds() -> None:
    """Three seeds, noise as large as the gap: the plain squared distance is 5 x .02 / 3 too large."""
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, (2, 2000, 3, 5))
    terms = np.mean([gap_terms(d + GAP, np.zeros((3, 5)), t) for d, t in zip(*noise, strict=True)], axis=0)
    assert terms == pytest.approx([GAP @ GAP, 0], abs=0.006)
    plain = np.mean([((d + GAP - t).mean(axis=0) ** 2).sum() for d, t in zip(*noise, strict=True)])
    assert plain == pytest.approx(GAP @ GAP + 5 * 0.02 / 3, abs=0.006)


def test_what_seeds_share_is_not_mistaken_for_noise() -> None:
    """An offset of every seed that student, independent and teacher share leaves the differences as they are."""
    drawn = triangle(INDEPENDENT + 0.5 * GAP)
    offset = np.random.default_rng(1).normal(0, 0.2, (5, 5, 1))
    moved = made([part + offset for part in drawn.parts])
    assert value(gap_closed(moved, SCORING)) == pytest.approx(value(gap_closed(drawn, SCORING)), abs=2e-6)


# The paper's Tables 1 and 3, with the other table's independent student in the teacher's place


def table(number: int) -> PublishedTable:
    return next(published for published in read_published() if published.table == number)


def row(number: int, method: str) -> FloatArray:
    (published,) = (entry for entry in table(number).rows if entry.method == method)
    return np.array([float(text) for text in published.values])


def published(number: int, method: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(1, 5) ratios of a method, of its independent student and of the other table's."""
    independent, teacher = (row(place, "independent")[None] for place in (number, 4 - number))
    return row(number, method)[None], independent, teacher


PROXIES = [
    (1, "lm", -0.03, -0.07),
    (1, "crd", 0.03, 0.03),
    (1, "vlfkd", 0.11, 0.07),
    (1, "cskd", -0.16, -0.16),
    (3, "lm", -0.27, -0.29),
    (3, "crd", 2.29, -1.25),
    (3, "sskd", 2.05, -0.83),
    (3, "capd", 4.03, -3.28),
]


@pytest.mark.parametrize(("number", "method", "index", "gap"), PROXIES)
def test_the_papers_winners_move_away_or_overshoot(number: int, method: str, index: float, gap: float) -> None:
    """With one seed nothing is debiased; the second column is 1 - |d - t| / |i - t|, the unsquared gap closed."""
    student, independent, teacher = published(number, method)
    assert index_number(student, independent, teacher) == pytest.approx(index, abs=0.005)
    distance, length = gap_terms(student, independent, teacher)
    assert 1 - np.sqrt(distance / length) == pytest.approx(gap, abs=0.005)


@pytest.mark.parametrize(
    ("number", "method", "clean", "corrected"),
    [
        (3, "lm", 0.97, (0.197, 0.003, -0.002, 0.003, 0.337)),
        (3, "crd", 0.97, (0.684, 0.642, 0.626, 0.538, 0.692)),
        (3, "sskd", 0.97, (0.550, 0.542, 0.535, 0.525, 0.712)),
        (3, "crd", 0.30, (0.575, 0.519, 0.498, 0.379, 0.586)),
        (3, "sskd", 0.30, (0.394, 0.384, 0.374, 0.361, 0.613)),
        (1, "cskd", 0.97, (0.358, 0.083, 0.328, 0.139, 0.703)),
    ],
)
def test_the_papers_ratios_mean_what_the_unreported_clean_accuracy_makes_of_them(
    number: int, method: str, clean: float, corrected: tuple[float, ...]
) -> None:
    bias = chance_corrected(row(number, method) * clean, np.array(clean), 10)
    assert bias == pytest.approx(np.array(corrected), abs=0.001)
