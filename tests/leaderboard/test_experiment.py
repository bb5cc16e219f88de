"""What a board says of its scale, and of the backbones that its seeds start from."""

from collections.abc import Sequence

from kdbench.leaderboard.experiment import backbone_words, experiment_words
from kdbench.scoring.scores import Board
from kdbench.spec import PretrainedFile
from kdbench.testsets.spec import load_spec
from tests.leaderboard import examples

TRACK = load_spec().track("synthetic")
FILES = tuple(PretrainedFile(file=f"{number}.safetensors", sha256="0" * 64) for number in range(5))


def test_the_scale_names_epochs_updates_parameters_images_and_seeds() -> None:
    words = experiment_words(examples.planted_board(), TRACK)
    assert words.startswith("students train 3 epochs of 3,000 images, 138 updates; CNN of 307,498 parameters; ViT of")
    assert words.endswith("; 3 seeds on 3 pairs of pretrained backbones; 1,000 clean test images")


def test_the_scale_names_no_pairs_where_networks_start_at_random() -> None:
    assert "; 5 seeds; 1,000 clean" in experiment_words(examples.natural(), load_spec().track("cifar10-32"))


def test_a_board_without_a_scored_run_has_no_scale() -> None:
    assert experiment_words(examples.board("cnn-to-vit", scale=None), TRACK) == ""


def sentence(board: Board, pretrained: Sequence[PretrainedFile]) -> str:
    files = {"pretrained": tuple(pretrained)}
    backbones = {family: TRACK.backbones[family].model_copy(update=files) for family in ("cnn", "vit")}
    track = TRACK.model_copy(update={"backbones": TRACK.backbones.model_copy(update=backbones)})
    return " ".join(backbone_words(board, track))


def test_only_seeds_on_several_pairs_cover_the_choice_of_backbones() -> None:
    five, single = examples.architecture_board(), examples.board("cnn-to-vit", seeds=1)
    assert "intervals over seeds cover the choice of backbones (5 pairs here)" in sentence(five, FILES)
    assert "no interval covers their choice" in sentence(single, FILES)
    alike = five.model_copy(update={"scale": single.scale})
    assert "no interval covers their choice" in sentence(alike, FILES[:1])
    assert sentence(five, ()) == ""


def test_seeds_that_share_a_pair_are_named_since_intervals_take_them_for_independent() -> None:
    five = examples.architecture_board()
    assert five.scale is not None
    ten = five.model_copy(update={"scale": five.scale.model_copy(update={"seeds": 10})})
    warning = "Several seeds share a pair, so the intervals are too narrow if backbones matter much."
    assert warning in sentence(ten, FILES)
    assert warning not in sentence(five, FILES)
