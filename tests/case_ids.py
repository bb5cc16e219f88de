"""Names the cases of parametrized tests by their values, where pytest would only number them or repeat long texts."""

from collections.abc import Iterable, Mapping

LONGEST_ID = 60  # characters per value


def case_id(value: object) -> str | None:
    """Return a short text for a value; None for one that pytest names well itself."""
    if isinstance(value, Mapping):
        text = _joined(",", (f"{key}={_plain(item)}" for key, item in value.items()))
    elif isinstance(value, list | tuple):
        text = _joined(" ", map(_plain, value))
    elif isinstance(value, set | frozenset):
        text = _joined(" ", sorted(map(_plain, value)))
    elif isinstance(value, BaseException):
        text = repr(value)
    elif isinstance(value, str) and len(value) > LONGEST_ID:
        text = value
    else:
        return None
    if " at 0x" in text:  # an address differs between the processes that share the tests
        return None
    printable = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return printable if len(printable) <= LONGEST_ID else f"{printable[:LONGEST_ID]}..."


def _joined(separator: str, texts: Iterable[str]) -> str:
    return separator.join(texts) or "nothing"


def _plain(value: object) -> str:
    if isinstance(value, set | frozenset):  # in the same order in every process
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return str(getattr(value, "__name__", value))
