"""Rows of one method are named by the settings in which they differ."""

from kdbench.scoring.differing import with_differing_settings
from kdbench.scoring.scores import Row


def row(method: str, **config: bool | int | float | str | None) -> Row:
    return Row(kind="method", method=method, config=config, family="vit", arms=())


def test_rows_of_a_sweep_are_named_by_what_differs() -> None:
    rows = with_differing_settings(
        [row("at", beta=1.0, p=2, mode="a"), row("at", beta=10.0, p=2, mode="b"), row("lm", temperature=4.0)]
    )
    assert [each.title for each in rows] == ["at, beta=1, mode=a", "at, beta=10, mode=b", "lm"]


def test_a_setting_that_only_some_rows_have_tells_them_apart() -> None:
    rows = with_differing_settings([row("at", beta=1.0), row("at", beta=1.0, every=True)])
    assert [each.title for each in rows] == ["at", "at, every=true"]
