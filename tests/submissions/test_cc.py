"""Correlation congruence computes what RepDistiller's code computes."""

import pytest
import torch
from torch.nn import functional as F

from benchmark.submissions.cc import cc_loss
from tests.submissions.golden import in_both_precisions, read_golden
from tests.submissions.small_tasks import a_batch, a_method, a_task, an_output, weighted

PARAMETERS = ("W_s", "b_s", "W_t", "b_t")


@in_both_precisions
@pytest.mark.parametrize("case", ["vec", "b16"])
def test_loss_and_gradients_are_those_of_the_official_code(dtype: torch.dtype, case: str) -> None:
    golden = read_golden("cc.npz", dtype, case)
    variables = {name: golden.variable(name) for name in ("f_s", *PARAMETERS)}
    embed_s = F.linear(variables["f_s"], variables["W_s"], variables["b_s"])
    embed_t = F.linear(golden.tensor("f_t"), variables["W_t"], variables["b_t"])
    loss = cc_loss(embed_s, embed_t)
    loss.backward()  # type: ignore[no-untyped-call]
    golden.assert_close(embed_s, "embed_s")
    golden.assert_close(embed_t, "embed_t")
    golden.assert_close(loss, "loss")
    for name, variable in variables.items():
        golden.assert_close(variable.grad, f"grad_{name}")


def test_the_default_weight_is_that_of_the_official_code() -> None:
    assert a_method("cc").config.correlation_weight == read_golden("cc.npz", torch.float64).number("weight")


def test_a_pair_of_neighbours_counts_by_the_product_of_its_differences() -> None:
    student = torch.tensor([[1.0, 0.0], [3.0, 2.0], [0.0, 0.0]])
    teacher = torch.tensor([[0.0, 0.0], [1.0, 5.0], [0.0, 4.0]])
    assert cc_loss(student, teacher).item() == ((1 * 2 + 0 * 3) + (2 * 0 + 3 * 4)) / 2


def test_a_batch_of_a_single_image_has_a_loss_of_zero() -> None:
    assert cc_loss(torch.ones(1, 4), torch.zeros(1, 4)).item() == 0


def test_embeddings_of_both_networks_are_compared_with_the_weight_of_the_settings() -> None:
    student, teacher = an_output("vit", 0), an_output("cnn", 1)
    method = a_method("cc", a_task(), correlation_weight=2.0, width=5)
    embeddings = [
        method.get_submodule(name)(output.pooled) for name, output in (("embed_s", student), ("embed_t", teacher))
    ]
    assert [tuple(embedding.shape) for embedding in embeddings] == [(6, 5), (6, 5)]
    terms = weighted(method.loss(a_batch(), student, teacher))
    assert terms["correlation"] == pytest.approx(2 * cc_loss(*embeddings).item())
