"""The parts of a profile as lines of text: a chart of plain characters, and a table of networks."""

from collections.abc import Iterator, Sequence
from typing import Final

from kdbench.scoring.arms import Profile
from kdbench.scoring.estimates import Estimate, Score
from kdbench.spec import BIAS_AXES, Axis

STEPS: Final = 40  # characters between c = 0 and c = 1
OUTSIDE: Final = 6  # characters on each side, for c outside of 0 to 1
WIDEST_NAME: Final = 44  # characters
ABSENT: Final = "-"


def chart_lines(profile: Profile) -> Iterator[str]:
    """Yield a line per axis: c, its interval, and a bar from the lower to the upper end with `o` at the estimate."""
    ends = " " * OUTSIDE + "0" + "1".rjust(STEPS)
    yield f"{'axis':10s}{'c':>6s}  {'interval':14s}  {ends}"
    for axis in BIAS_AXES:
        score = profile.axes[axis].bias
        interval = with_bounds(score) if isinstance(score, Estimate) else ""
        yield f"{axis:10s}{number(score):>6s}  {interval:14s}  {bar(score)}"


def bar(score: Score) -> str:
    """Return the bar of a number, with `|` at 0 and at 1; what lies outside of the chart is drawn at its edge."""
    cells = [" "] * (STEPS + 2 * OUTSIDE + 1)
    if isinstance(score, Estimate):
        first, last = _cell(score.low), _cell(score.high)
        cells[first : last + 1] = "-" * (last + 1 - first)
    for edge in (0.0, 1.0):
        cells[_cell(edge)] = "|"
    if isinstance(score, Estimate):
        cells[_cell(score.value)] = "o"
    return "".join(cells)


def _cell(value: float) -> int:
    return min(max(round(OUTSIDE + STEPS * value), 0), STEPS + 2 * OUTSIDE)


def conflict_words(profile: Profile, swing: Score) -> str:
    """Return the decisions on cue-conflict images as a line; empty without such images."""
    conflict = profile.conflict
    if conflict is None or not isinstance(conflict.shape, Estimate):
        return ""
    shares = f"shape {number(conflict.shape)}, texture {number(conflict.texture)}"
    return f"Decisions on {conflict.shape.images} cue-conflict images: {shares}; swing {with_interval(swing)}."


def undefined_axes(profile: Profile) -> dict[str, list[Axis]]:
    """Return the axes without a c, by the reason."""
    axes: dict[str, list[Axis]] = {}
    for axis in BIAS_AXES:
        score = profile.axes[axis].bias
        if not isinstance(score, Estimate):
            axes.setdefault(score.reason, []).append(axis)
    return axes


def table_lines(rows: Sequence[tuple[str, Profile, float | None]]) -> Iterator[str]:
    """Yield a table of networks: name, clean accuracy, c by axis, swing, and distance from the first one."""
    width = min(WIDEST_NAME, max(len(name) for name, _, _ in rows))
    headings = (*(f"{axis[:8]:>9s}" for axis in ("clean", *BIAS_AXES)), f"{'swing':>7s}", f"{'distance':>10s}")
    yield f"{'':{width}s}{''.join(headings)}"
    for name, profile, distance in rows:
        scores = (profile.clean, *(profile.axes[axis].bias for axis in BIAS_AXES))
        numbers = "".join(f"{number(score):>9s}" for score in scores)
        away = "" if distance is None else f"{distance:.2f}"
        yield f"{name[:width]:{width}s}{numbers}{_swing(profile):>7s}{away:>10s}"


def _swing(profile: Profile) -> str:
    conflict = profile.conflict
    if conflict is None or not (isinstance(conflict.shape, Estimate) and isinstance(conflict.texture, Estimate)):
        return ABSENT
    return f"{conflict.shape.value - conflict.texture.value:.2f}"


def number(score: Score) -> str:
    """Return a number with two decimals, or a dash if it is undefined."""
    return f"{score.value:.2f}" if isinstance(score, Estimate) else ABSENT


def with_interval(score: Score) -> str:
    """Return `0.43 [0.38, 0.49]`."""
    return f"{score.value:.2f} {with_bounds(score)}" if isinstance(score, Estimate) else "undefined"


def with_bounds(estimate: Estimate) -> str:
    """Return `[0.38, 0.49]`."""
    return f"[{estimate.low:.2f}, {estimate.high:.2f}]"
