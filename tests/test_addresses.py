"""Which addresses are those of this machine, and which of them are opened without a proxy."""

from urllib.request import ProxyHandler

import pytest

from kdbench.addresses import is_this_machine, opener_for


@pytest.mark.parametrize(("host", "here"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True)])
def test_addresses_of_this_machine_are_known(host: str, here: bool) -> None:
    assert is_this_machine(host) == here


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", None])
def test_addresses_of_other_machines_are_not_this_machine(host: str | None) -> None:
    assert not is_this_machine(host)
    assert is_this_machine("localhost")


@pytest.mark.parametrize(("host", "proxies"), [("localhost", 0), ("127.0.0.1", 0), ("example.org", 1)])
def test_only_other_machines_are_asked_through_a_proxy(
    host: str, proxies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:8080")
    handlers = opener_for(host).handlers  # type: ignore[attr-defined]
    assert sum(isinstance(handler, ProxyHandler) for handler in handlers) == proxies
