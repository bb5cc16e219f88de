"""The gallery says how the images of a test set were changed."""

from kdbench.leaderboard.stimuli import caption_of
from kdbench.testsets.spec import load_spec


def test_captions_distinguish_sets_that_networks_make_from_quilted_ones() -> None:
    paper, native = load_spec().track("cifar10-224"), load_spec().track("cifar10-32")
    captions = {test_set.name: caption_of(test_set, paper.data) for test_set in paper.test_sets}
    assert "silhouette, black on white" in captions["shape-black"]
    assert "shows a disc" in captions["shape-white-all"]
    assert "grey" in captions["shape-cut-out"]
    assert "covers the whole image" in captions["texture"]
    assert "outline remains" in captions["texture-object"]
    assert "style of one picture" in captions["stylized"]
    assert "patches" not in " ".join(captions.values()).lower()
    (quilted,) = native.primary_sets("texture")
    assert "Patches from the inside of the object" in caption_of(quilted, native.data)
