"""Turns data frames into the Markdown tables of the studies' pages."""

import pandas as pd


def markdown_table(frame: pd.DataFrame, *, decimals: int = 3, missing: str = "") -> str:
    """Return a data frame as a Markdown table without its index and without padding.

    Args:
        frame: text, whole numbers and floats.
        decimals: number of digits after the decimal point of floats.
        missing: the text for a missing number.
    """

    def cell(value: object) -> str:
        if isinstance(value, float):
            return missing if pd.isna(value) else f"{value:.{decimals}f}"
        return str(value)

    rows = zip(*(frame[column].tolist() for column in frame.columns), strict=True)
    head, rule = f"| {' | '.join(frame.columns)} |", f"|{'---|' * frame.shape[1]}"
    return "\n".join([head, rule, *(f"| {' | '.join(map(cell, row))} |" for row in rows)])
