"""Compiled networks are whole graphs, which all networks of a process share, and nothing is given up silently."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdbench.api import OutputField
from kdbench.networks import compiling
from kdbench.networks.backbone import ALL_FIELDS, Backbone, create_model
from kdbench.networks.compiling import CACHES, compile_network, compiler_cache, obstacle_to_compiling
from kdbench.networks.inference import inference_form
from kdbench.spec import Family
from kdbench.testsets.spec import load_spec

FAMILIES: tuple[Family, ...] = ("cnn", "vit")
LOGITS: frozenset[OutputField] = frozenset({"logits"})
FEATURES: frozenset[OutputField] = frozenset({"pooled", "stages", "attention"})


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def a_network(family: Family) -> Backbone:
    spec = load_spec().track("synthetic").backbones[family]
    torch.manual_seed(0)
    model = create_model(spec.architecture, spec.arguments, num_classes=10, cifar_stem=spec.cifar_stem)
    return Backbone(model, family)


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_compiled_network_says_the_same_under_the_same_names(family: Family) -> None:
    network = a_network(family).eval()
    plain, names = network(images(), ALL_FIELDS), list(network.state_dict())
    compile_network(network, backend="eager")
    network(images())  # a first call that keeps nothing must not decide what later ones keep
    compiled = network(images(), ALL_FIELDS)
    for field in ("logits", "pooled", "feature_map", "dense_logits", "stages", "attention"):
        expected, actual = getattr(plain, field, None), getattr(compiled, field, None)
        torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    assert list(network.state_dict()) == names


@pytest.mark.parametrize("family", FAMILIES)
def test_the_whole_network_is_one_graph(family: Family) -> None:
    network = a_network(family)
    explained = torch._dynamo.explain(network.fields)(images(), ALL_FIELDS)
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)
    modules = list(network.model.named_modules())
    convolutions = sum(isinstance(module, nn.Conv2d) for _, module in modules)
    products = sum(isinstance(module, nn.Linear) for _, module in modules) + (family == "cnn")  # dense logits
    calls = [str(node.target) for node in explained.graphs[0].graph.nodes]
    assert sum("conv2d" in call for call in calls) == convolutions
    assert sum("linear" in call for call in calls) >= products


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_second_network_of_its_kind_is_not_compiled_again(family: Family) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("eager")
    for _ in range(2):
        network = a_network(family)
        compile_network(network, backend=counter)
        for needs in (LOGITS, FEATURES):
            network.train()(images(), needs).logits.sum().backward()
            with torch.no_grad():
                network.eval()(images(), needs)
    assert counter.frame_count == 4  # two sets of fields, in training and in evaluation


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_norms_of_gradients_can_be_taken_before_the_backward_pass(family: Family) -> None:
    plain, network = a_network(family), a_network(family)
    compile_network(network, backend="aot_eager")
    norms, gradients = [], []
    for each in (plain, network):
        output = each(images(), FEATURES)
        loss = output.logits.square().mean() + output.pooled.square().mean()
        first = torch.autograd.grad(loss, list(each.parameters()), retain_graph=True, allow_unused=True)
        norms.append(torch.stack([gradient.norm() for gradient in first if gradient is not None]))
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in each.parameters() if p.grad is not None]))
    torch.testing.assert_close(*norms)
    torch.testing.assert_close(*gradients)


def test_a_network_with_too_many_variants_runs_uncompiled_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("eager")
    monkeypatch.setattr(compiling, "VARIANTS", 2)
    network, plain = a_network("cnn").eval(), a_network("cnn").eval()
    compile_network(network, backend=counter)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        for count in (1, 2, 3, 4, 3):
            torch.testing.assert_close(network(images(count)).logits, plain(images(count)).logits, rtol=0, atol=0)
    assert counter.frame_count == 2
    assert [record.getMessage() for record in caplog.records if record.name.startswith("kdbench")] == [
        "the networks have been compiled in as many variants as are allowed, such as sizes of batches, so this one "
        "(3 images) runs uncompiled from now on"
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_form_for_inference_differs_by_rounding_alone(family: Family) -> None:
    network = a_network(family).train()
    with torch.no_grad():
        for _ in range(3):
            network(images(16))  # statistics that normalise something
        network.eval()
        exact = network(images(16), ALL_FIELDS)
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            usual = network(images(16), ALL_FIELDS)
            fast = inference_form(network)(images(16), ALL_FIELDS)
    for field in sorted(ALL_FIELDS):
        expected, rounded, actual = (_tensors(getattr(output, field, None)) for output in (exact, usual, fast))
        assert [tensor.dtype for tensor in actual] == [tensor.dtype for tensor in rounded]
        for tensors in zip(expected, rounded, actual, strict=True):
            float32, autocast, inference = (tensor.float() for tensor in tensors)
            allowed = 3 * (autocast - float32).std() + 1e-3 * float32.std()
            assert (inference - float32).std() <= allowed, field


def _tensors(field: Tensor | tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
    return () if field is None else field if isinstance(field, tuple) else (field,)


def test_every_normalisation_of_the_papers_cnn_is_folded_away() -> None:
    spec = load_spec().track("cifar10-224").backbones.cnn
    network = Backbone(create_model(spec.architecture, spec.arguments, num_classes=10), "cnn").eval()
    answering = inference_form(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in answering.modules())
    assert {parameter.dtype for parameter in answering.parameters()} == {torch.bfloat16}


def test_a_machine_without_a_compiler_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: None)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)
    assert obstacle_to_compiling("cpu") == "C++ compiler 'g++'"
    assert obstacle_to_compiling("cuda") in ("C compiler (gcc or clang)", "package triton")
    monkeypatch.setattr(shutil, "which", lambda command: f"/usr/bin/{command}")
    assert obstacle_to_compiling("cpu") is None


def test_the_compilers_folder_holds_for_a_block_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setenv(CACHES[0], "/before")
    monkeypatch.delenv(CACHES[1], raising=False)
    threads = config.compile_threads
    with compiler_cache(tmp_path):
        assert os.environ[CACHES[0]] == str(tmp_path)
        assert Path(os.environ[CACHES[1]]).is_relative_to(tmp_path)
        assert config.compile_threads == 1
    assert os.environ[CACHES[0]] == "/before"
    assert CACHES[1] not in os.environ
    assert config.compile_threads == threads


@pytest.mark.slow
@pytest.mark.skipif(obstacle_to_compiling("cpu") is not None, reason="there is no C++ compiler")
def test_code_that_was_compiled_is_read_from_the_folder_the_next_time(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters

    hits = []
    with compiler_cache(tmp_path), torch.no_grad():
        for _ in range(2):
            torch._dynamo.reset()  # as in a new process
            counters.clear()
            network, plain = a_network("cnn").eval(), a_network("cnn").eval()
            compile_network(network)
            torch.testing.assert_close(network(images()).logits, plain(images()).logits)
            hits.append(sum(n for key, n in counters["inductor"].items() if key == "fxgraph_cache_hit"))
            hits.append(sum(n for key, n in counters["aot_autograd"].items() if key == "autograd_cache_hit"))
    assert hits[:2] == [0, 0]
    assert sum(hits[2:]) >= 1
    assert any(tmp_path.rglob("*.so"))
