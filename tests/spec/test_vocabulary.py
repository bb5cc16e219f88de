"""The words of the benchmark."""

from kdbench.spec import DIRECTIONS, families


def test_a_direction_names_teacher_and_student() -> None:
    assert families("cnn-to-vit") == ("cnn", "vit")
    assert families("vit-to-vit") == ("vit", "vit")


def test_a_direction_is_called_after_its_families() -> None:
    for direction in DIRECTIONS:
        assert f"{families(direction).teacher}-to-{families(direction).student}" == direction
