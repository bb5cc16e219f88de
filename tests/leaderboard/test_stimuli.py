"""What the gallery says of a test set is what was done to it."""

from kdbench.leaderboard.stimuli import caption_of
from kdbench.testsets.spec import load_spec


def test_sets_that_networks_make_are_told_from_those_that_are_quilted() -> None:
    paper, native = load_spec().track("cifar10-224"), load_spec().track("cifar10-32")
    captions = {test_set.name: caption_of(test_set, paper.data) for test_set in paper.test_sets}
    assert "silhouette, black on white" in captions["shape-black"]
    assert "disc stands in" in captions["shape-white-all"]
    assert "grey" in captions["shape-cut-out"]
    assert "whole frame" in captions["texture"]
    assert "outline stays" in captions["texture-object"]
    assert "style of one picture" in captions["stylized"]
    assert "stitched" not in " ".join(captions.values())
    (quilted,) = native.primary_sets("texture")
    assert "stitched" in caption_of(quilted, native.data)
