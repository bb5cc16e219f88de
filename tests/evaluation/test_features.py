"""Features are computed once per network, and are the same bits whether they come alone or beside the logits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kdbench.evaluation import answers
from kdbench.evaluation.answers import outputs_of
from kdbench.evaluation.evaluator import Evaluator
from kdbench.evaluation.features import MOST_NETWORKS, KeptFeatures
from kdbench.networks.backbone import Backbone
from kdbench.networks.models import write_weights
from kdbench.records import WEIGHTS
from kdbench.spec import FAMILIES, Family, TeacherKind
from tests.evaluation.small_networks import CPU, TRACK, clean_arrays, network


def silent(done: int, total: int) -> None:
    pass


def another_cnn(seed: int) -> Backbone:
    """Return a CNN whose features are its own, not only its classifier."""
    backbone = network("cnn", seed)
    torch.nn.init.normal_(backbone.model.conv1.weight, generator=torch.Generator().manual_seed(seed))  # type: ignore[union-attr, arg-type]
    return backbone


def counting(backbone: Backbone) -> tuple[Backbone, list[int]]:
    """Return a network, and the number of images of each of its forward passes."""
    seen: list[int] = []
    backbone.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    return backbone, seen


@pytest.mark.parametrize("family", FAMILIES)
def test_features_beside_logits_are_those_that_come_alone(family: Family) -> None:
    backbone, clean = network(family), clean_arrays()
    both = outputs_of(backbone, clean.images, TRACK.data, CPU, pooled=True)
    np.testing.assert_array_equal(both["logits"], answers.logits_of(backbone, clean.images, TRACK.data, CPU))
    np.testing.assert_array_equal(both["pooled"], KeptFeatures().of(backbone, clean, TRACK.data, CPU))


def test_a_network_is_asked_once_and_another_one_for_itself() -> None:
    kept, clean = KeptFeatures(), clean_arrays()
    first, passes = counting(network("cnn"))
    features = kept.of(first, clean, TRACK.data, CPU)
    np.testing.assert_array_equal(kept.of(network("cnn"), clean, TRACK.data, CPU), features)
    assert passes == [40]
    assert (kept.of(another_cnn(1), clean, TRACK.data, CPU) != features).any()
    assert kept.of(first, clean_arrays(30), TRACK.data, CPU).shape[0] == 30


def test_few_networks_are_kept() -> None:
    kept, clean = KeptFeatures(), clean_arrays(10)
    first, passes = counting(network("cnn"))
    kept.of(first, clean, TRACK.data, CPU)
    for seed in range(1, MOST_NETWORKS + 1):
        kept.of(network("cnn", seed=seed), clean, TRACK.data, CPU)
    kept.of(first, clean, TRACK.data, CPU)
    assert passes == [10, 10]


def test_a_student_is_compared_with_its_teachers_without_further_forward_passes(tmp_path: Path) -> None:
    track = TRACK.model_copy(update={"test_sets": TRACK.primary_sets("clean")})
    evaluator = Evaluator(track, {"clean": clean_arrays()}, CPU, tmp_path / "student")
    for bias, seed in (("shape", 1), ("texture", 2)):
        write_weights(tmp_path / bias / WEIGHTS, another_cnn(seed).model)
    student, passes = counting(network("vit"))
    evaluator.predictions(student, {}, silent)
    folders = {TeacherKind("cnn", "shape"): tmp_path / "shape", TeacherKind("cnn", "texture"): tmp_path / "texture"}
    scalars = evaluator.scalars(student, folders, occlusion=False)
    assert passes == [40]
    alone = Evaluator(track, evaluator.test_sets, CPU, tmp_path).scalars(network("vit"), folders, occlusion=False)
    assert scalars == alone
    assert set(scalars) == {"cka_to_shape", "cka_to_texture"}
    assert len(set(scalars.values())) == 2


class Narrow(nn.Module):
    """A network that runs out of memory on more images than a number."""

    family = "cnn"

    def __init__(self, most: int, backbone: Callable[..., object]) -> None:
        super().__init__()
        self.most, self.backbone, self.passes = most, backbone, []  # type: ignore[var-annotated]

    def forward(self, images: torch.Tensor, needs: object) -> object:
        self.passes.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.backbone(images, needs)


def test_a_batch_that_does_not_fit_is_halved_and_at_last_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "BATCH", 10)
    backbone, clean = network("cnn"), clean_arrays()
    expected = answers.logits_of(backbone, clean.images, TRACK.data, CPU)
    monkeypatch.setattr(answers, "first_batch", lambda data, device: 40)
    narrow = Narrow(10, backbone)
    np.testing.assert_array_equal(answers.logits_of(narrow, clean.images, TRACK.data, CPU), expected)  # type: ignore[arg-type]
    assert narrow.passes == [40, 20, 10, 10, 10, 10]
    with pytest.raises(torch.OutOfMemoryError):
        answers.logits_of(Narrow(9, backbone), clean.images, TRACK.data, CPU)  # type: ignore[arg-type]


def test_a_gpu_takes_more_images_at_a_time_and_a_cpu_always_as_many_as_ever() -> None:
    gpu, large = torch.device("cuda"), TRACK.data.model_copy(update={"image_size": 224})
    assert answers.first_batch(TRACK.data, CPU) == answers.first_batch(large, CPU) == 250
    assert answers.first_batch(TRACK.data, gpu) == 4096
    assert answers.first_batch(large, gpu) == 250
