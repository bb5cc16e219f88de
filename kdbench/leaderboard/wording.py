"""The form of numbers and names on the page."""

from collections.abc import Mapping, Sequence
from typing import Literal

from kdbench.scoring.arms import Arm
from kdbench.scoring.scores import Row
from kdbench.spec import FAMILY_NAMES, UNTRAINED, Axis, Direction, OpenPair, Question, TeacherKind, families

MINUS = "−"
Mark = Literal["shape", "texture", "cnn", "vit", "alone"]
"""What a mark or line on a chart looks like: by a planted cue, by the family of a natural teacher, or neither."""

QUESTION_NAMES: Mapping[Question, str] = {"architecture": "architecture", "planted": "planted cues"}
QUESTION_TITLES: Mapping[Question, str] = {
    "architecture": "Does a student take over what the architecture of its teacher brings?",
    "planted": "Does a student take over a cue that was planted in its teacher?",
}
DEVICE_NAMES: Mapping[str, str] = {
    "cpu-float32": "CPU, 32-bit numbers",
    "cpu-bfloat16": "CPU, 16-bit numbers (bfloat16)",
    "cuda-float32": "GPU, 32-bit numbers",
    "cuda-bfloat16": "GPU, 16-bit numbers (bfloat16)",
}
SYMBOLS: Mapping[Question, str] = {"architecture": "α", "planted": "τ"}
AXIS_NAMES: Mapping[Axis, str] = {
    "clean": "Clean",
    "shape": "Shape",
    "texture": "Texture",
    "locality": "Locality",
    "scramble": "Scramble",
    "noise": "Noise",
    "background": "Background",
    "cue-conflict": "Cue conflict",
}
AXIS_HINTS: Mapping[Axis, str] = {
    "shape": "only the outline shows the class",
    "texture": "only the texture shows the class",
    "locality": "fine detail is averaged away",
    "scramble": "tiles change places",
    "noise": "noise covers one patch",
}
SHOWN_AXES: tuple[Axis, ...] = ("shape", "texture", "locality", "scramble", "noise")


def number(value: float, digits: int = 2) -> str:
    """Return a number with a typographic minus; a rounded zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign: `+0.4`, `−5.6`; a rounded zero has none."""
    text = number(value, digits)
    return text if value < 0 or float(text) == 0 else f"+{text}"


def device_words(device_class: str) -> str:
    """Return a kind of device with its arithmetic: `CPU, 32-bit numbers`."""
    return DEVICE_NAMES.get(device_class, device_class)


def capitalized(text: str) -> str:
    """Return a text with a capital first letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def lower_first(text: str) -> str:
    """Return a text with a small first letter, unless it begins with an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def count(value: int) -> str:
    """Return an integer with its thousands separated: `12,000`."""
    return f"{value:,}"


def p_value(value: float) -> str:
    """Return a p-value: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def plural(value: int, noun: str) -> str:
    """Return a number with its noun: `3 seeds`, `1 seed`."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def listing(names: Sequence[str]) -> str:
    """Return names in a sentence: `crd, lm and sskd`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def ratio(value: float) -> str:
    """Return a ratio of times with three digits at most: `0.84`, `1.40`, `12.5`."""
    return number(value, 2 if value < 10 else 1)


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best: `380 ms`, `8.7 s`, `12.5 min`, `3.2 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def memory(size: int) -> str:
    """Return a number of bytes as MiB or GiB."""
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"


def direction_words(direction: Direction, pair: OpenPair | None = None) -> str:
    """Return a direction: `CNN → ViT`; with the networks of the open division, `resnet18 → mixer_s16_224`."""
    teacher, student = _networks(direction, pair)
    return f"{teacher} → {student}"


def _networks(direction: Direction, pair: OpenPair | None) -> tuple[str, str]:
    """Return the teacher and the student of a direction: the networks of a pair, or else their families."""
    teacher, student = families(direction)
    if pair is None:
        return FAMILY_NAMES[teacher], FAMILY_NAMES[student]
    return pair[teacher].architecture, pair[student].architecture


def direction_sentence(direction: Direction, question: Question, pair: OpenPair | None = None) -> str:
    """Return which families, or networks of the open division, teach which on a board, in a sentence."""
    teacher, student = _networks(direction, pair)
    if question == "architecture":
        return f"Each method trains a {student} twice: with a {teacher} as teacher, and with a {student} as teacher."
    return f"A {teacher} teaches a {student}."


def config_words(config: Mapping[str, bool | int | float | str | None]) -> str:
    """Return settings in a line: `temperature 4.0, distill_weight 0.9`."""
    return ", ".join(f"{key} {value}" for key, value in config.items())


def teacher_words(teacher: TeacherKind) -> str:
    """Return a kind of teacher: `shape teacher`, or `CNN teacher` for a natural one."""
    return f"{FAMILY_NAMES[teacher.family] if teacher.bias == 'natural' else teacher.bias} teacher"


def mark_of(teacher: TeacherKind | None) -> Mark:
    """Return the mark of a teacher and of its students; that of networks without a teacher for None."""
    if teacher is None:
        return "alone"
    return teacher.family if teacher.bias == "natural" else teacher.bias


def arm_words(row: Row, arm: Arm) -> str:
    """Return the label of an arm: the kind of a teacher, or of the teacher that a student has."""
    if arm.teacher is None:
        return {"independent": "trained alone", "control": "without a teacher"}.get(row.kind, "all runs")
    words = f"{'random ' if arm.random_teacher else ''}{teacher_words(arm.teacher)}"
    is_teacher = row.kind == "teacher" or row.method == UNTRAINED
    return words if is_teacher else f"from {words}"


def reference_words(row: Row, arm: Arm) -> str:
    """Return the label of an arm that stands alone, without the name of its row: `independent student`."""
    return "independent student" if row.kind == "independent" else arm_words(row, arm)


def row_words(row: Row) -> str:
    """Return the name of a row for people."""
    return f"{row.title} ({FAMILY_NAMES[row.family]})" if row.kind in ("teacher", "independent") else row.title
