"""The words of the benchmark."""

from kdbench.spec import DIRECTIONS, families, question_of, within_family


def test_a_direction_names_teacher_and_student() -> None:
    assert families("cnn-to-vit") == ("cnn", "vit")
    assert families("vit-to-vit") == ("vit", "vit")


def test_a_direction_is_called_after_its_families() -> None:
    for direction in DIRECTIONS:
        assert f"{families(direction).teacher}-to-{families(direction).student}" == direction


def test_a_direction_within_a_family_keeps_the_student() -> None:
    within = {direction: within_family(direction) for direction in DIRECTIONS}
    assert within == {
        "cnn-to-vit": "vit-to-vit",
        "vit-to-cnn": "cnn-to-cnn",
        "cnn-to-cnn": "cnn-to-cnn",
        "vit-to-vit": "vit-to-vit",
    }


def test_natural_teachers_belong_to_the_question_of_architecture() -> None:
    assert question_of("natural") == "architecture"
    assert question_of("shape") == question_of("texture") == "planted"
