"""The picture of students that move towards their teachers."""

from dataclasses import replace

import pytest

from kdbench.leaderboard.boards import board_views
from kdbench.leaderboard.profile_plane import ProfilePlane, profile_plane
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples


def plane(number: int, leader: str) -> ProfilePlane:
    view = board_views(examples.full_scores(), load_spec())[number]
    picture = profile_plane(view, next(row for row in view.methods if row.name == leader))
    assert picture is not None
    return picture


def test_axes_are_those_on_which_the_teachers_differ_most() -> None:
    assert plane(0, "crd").axes == ("locality", "noise")
    assert plane(1, "crd").axes == ("shape", "texture")


def test_students_start_at_independent_and_lie_towards_their_teachers() -> None:
    picture = plane(1, "crd")
    teachers = {point.mark: point for point in picture.points if point.role == "teacher"}
    start = picture.independent
    assert teachers["texture"].x < start.x < teachers["shape"].x
    for arrow in picture.arrows:
        assert arrow.ends[:2] == (start.x, start.y)
    shape, texture = (arrow for arrow in picture.arrows if arrow.name == "crd")
    assert texture.ends[2] < start.x < shape.ends[2] < teachers["shape"].x


def test_the_leading_method_is_drawn_last() -> None:
    arrows = plane(1, "lm").arrows
    assert [arrow.name for arrow in arrows if arrow.leading] == ["lm", "lm"]
    assert [arrow.leading for arrow in arrows[-2:]] == [True, True]


def test_values_are_in_the_description() -> None:
    assert "crd from shape teacher: shape 0.85, texture 0.19" in plane(1, "crd").description


def test_a_teacher_close_to_independent_has_its_label_away_from_the_mark() -> None:
    picture = plane(0, "crd")
    alone = picture.independent
    close = replace(picture.points[0], x=alone.x + 20, y=alone.y - 10)
    crowded = replace(picture, points=(close, *picture.points[1:]))
    assert crowded.crowded
    assert [crowded.crowds(point) for point in crowded.points if point is close or point is alone] == [True, False]
    assert not picture.crowds(replace(close, x=alone.x + 30))


def test_a_board_without_two_teachers_has_no_picture() -> None:
    board = examples.planted_board()
    rows = tuple(row for row in board.rows if row.kind != "teacher")
    (view,) = board_views(examples.scores_of(board.model_copy(update={"rows": rows})), load_spec())
    assert profile_plane(view, None) is None


def test_places_are_within_the_picture() -> None:
    picture = plane(0, "crd")
    places = [place for point in picture.points for place in (point.x, point.y)]
    places += [place for arrow in picture.arrows for place in arrow.ends]
    assert min(places) == pytest.approx(9)
    assert max(places) == pytest.approx(91)
