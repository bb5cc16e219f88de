"""Any network behind the interface of the evaluation: its classes, its images, and what is refused in a sentence."""

import re

import pytest
import timm
import torch
from torch import Tensor, nn

from kdbench.errors import InputError
from kdbench.networks.given import GivenNetwork, NetworkInput, OutputsByClass

IMAGES = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
PLAIN = NetworkInput(image_size=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


class Answering(nn.Module):
    """A network that always gives the same answer."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: Tensor) -> object:
        return self.answer


class Watching(nn.Module):
    """A network that keeps the images that it got; its only logit is their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.got.append(images)
        return images.mean(dim=(1, 2, 3))[:, None]


def logits_of(answer: object, classes: int, outputs: OutputsByClass | None = None) -> Tensor:
    logits: Tensor = GivenNetwork(Answering(answer), PLAIN, classes, outputs)(IMAGES).logits
    return logits


def test_a_class_with_several_outputs_gets_the_mean_of_their_probabilities() -> None:
    probabilities = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    logits = logits_of(probabilities.log(), 2, ((0, 3), (2,)))
    torch.testing.assert_close(logits.exp(), torch.tensor([[0.25, 0.3], [0.25, 0.2]]))


def test_known_outputs_are_used_for_a_network_with_their_number_of_outputs() -> None:
    answer = torch.arange(10.0).view(2, 5)
    network = GivenNetwork(Answering(answer), PLAIN, 2, known={5: ((4,), (0,))})
    assert network(IMAGES).logits.tolist() == [[4, 0], [9, 5]]


def test_images_are_resized_as_the_network_expects_and_stay_within_the_range() -> None:
    network = Watching()
    steps = torch.ones(2, 3, 8, 8)
    steps[..., ::2] = -1
    GivenNetwork(network, PLAIN.model_copy(update={"image_size": 20}), 1)(steps)
    assert network.got[0].shape == (2, 3, 20, 20)
    assert network.got[0].min() == -1  # bicubic interpolation alone would go beyond
    assert network.got[0].max() == 1


def test_images_of_the_right_size_are_not_changed() -> None:
    network = Watching()
    GivenNetwork(network, PLAIN, 1)(IMAGES)
    assert torch.equal(network.got[0], IMAGES)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (torch.zeros(2, 1000), "has 1000 outputs, but the test images have 2 classes; say with `classes`"),
        (torch.zeros(2, 3, 4), "returned the shape 2 x 3 x 4 for 2 images, but logits"),
        (torch.zeros(1, 2), "returned the shape 1 x 2 for 2 images"),
        ({"logits": torch.zeros(2, 2)}, "of the type dict, but logits are needed"),
        (torch.full((2, 2), float("nan")), "logits that are not finite"),
    ],
    ids=["other-classes", "a-map", "one-row", "a-dict", "nan"],
)
def test_an_answer_that_is_not_logits_of_the_classes_is_refused(answer: object, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        logits_of(answer, 2)


def test_an_output_that_the_network_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="names the output 7, but the network has the outputs 0 to 3"):
        logits_of(torch.zeros(2, 4), 2, ((0,), (7,)))


def test_a_network_that_fails_is_refused_with_the_size_of_its_images() -> None:
    network = timm.create_model("test_vit", num_classes=2)
    with pytest.raises(
        InputError, match=r"failed on images of 8 x 8 pixels: AssertionError: .*patch size \(16\); check"
    ):
        GivenNetwork(network, PLAIN, 2)(IMAGES)


def test_timm_names_size_and_normalisation_of_its_models_only() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=4)
    assert NetworkInput.of_timm(vit) == NetworkInput(
        image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), origin="as timm names them for it"
    )
    cnn = NetworkInput.of_timm(timm.create_model("resnet10t"))
    assert cnn
    assert (cnn.image_size, cnn.mean[0]) == (176, 0.485)
    assert NetworkInput.of_timm(nn.Linear(2, 2)) is None


def test_the_input_is_described_in_words() -> None:
    assert str(PLAIN) == "8 x 8 pixels, mean 0.5 0.5 0.5, std 0.5 0.5 0.5 (as given)"
