"""Digests of values."""

from kdbench.spec import digest


def test_a_digest_is_the_sha256_of_canonical_json() -> None:
    assert digest({"b": 1, "a": [True, None]}) == digest({"a": [True, None], "b": 1})
    # sha256 of the two bytes "{}"
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
