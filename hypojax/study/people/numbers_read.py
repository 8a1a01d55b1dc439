"""Numbers and names in columns of tables that other tools or people wrote: decimal commas, text that is no number, spellings of a name."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from jaxtyping import Float64

from hypojax.reason import Reason, RunError, visible
from hypojax.tables import MISSING, text_of
from hypojax.tables.cells import counted

NUMBER: Final = re.compile(r"[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?")

THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?")
"""A number with commas between thousands."""

SHOWN: Final = 3


def read_numbers(column: pd.Series, name: str) -> tuple[Float64[np.ndarray, " scan"], list[str]]:
    """Numbers of a column, NaN where there is none, and notes on what was interpreted or left out.

    Raises
    ------
    RunError
        ``USAGE``: commas that may be between thousands or before decimals.

    Examples
    --------
    >>> read_numbers(pd.Series(["1023,5", "n/a", "912"]), "hypothalamus")[0].tolist()
    [1023.5, nan, 912.0]
    """
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return _finite(numbers, name)
    cells = cell_texts(column)
    known = [cell for cell in cells if cell]
    notes = []
    if all(map(THOUSANDS.fullmatch, known)) and any("," in cell for cell in known):
        if not any(cell.count(",") > 1 or "." in cell for cell in known):
            why = f"{known[0]!r} may be {known[0].replace(',', '')} or {known[0].replace(',', '.')}"
            raise RunError(Reason.USAGE, f"column {visible(name)!r}: {why}; write its numbers with a point and without commas")
        notes.append(f"column {visible(name)!r}: commas between thousands were taken out")
        cells = [cell.replace(",", "") for cell in cells]
    elif any("," in cell for cell in known):
        notes.append(f"column {visible(name)!r}: decimal commas read as points")
    numbers = np.array([float(cell.replace(",", ".")) if NUMBER.fullmatch(cell) else np.nan for cell in cells], dtype=np.float64)
    if odd := sorted({cell for cell, number in zip(cells, numbers, strict=True) if cell and np.isnan(number)}):
        shown = ", ".join(repr(visible(cell)) for cell in odd[:SHOWN])
        count = sum(cell in odd for cell in cells)
        notes.append(f"column {visible(name)!r}: {shown} is no number: missing in {counted(count, 'row')}")
    found, said = _finite(numbers, name)
    return found, [*notes, *said]


def is_of_numbers(column: pd.Series) -> bool:
    """Whether all cells that are there are numbers, written with a point or a comma, and there is one."""
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column):
        return True
    known = [cell for cell in cell_texts(column) if cell]
    return bool(known) and all(NUMBER.fullmatch(cell) or THOUSANDS.fullmatch(cell) for cell in known)


def read_names(column: pd.Series, name: str) -> tuple[list[str | None], list[str]]:
    """Names of a column, such as groups or sites: whole numbers without a point, spellings that differ in case only as one.

    >>> read_names(pd.Series(["HC", "hc", "HC", 2.0, None]), "group")[0]
    ['HC', 'HC', 'HC', '2', None]
    """
    cells = [" ".join(cell.split()) for cell in cell_texts(column)]
    counts = Counter(cell for cell in cells if cell)
    usual: dict[str, str] = {}
    for cell, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        usual.setdefault(cell.casefold(), cell)
    merged = sorted(cell for cell in counts if usual[cell.casefold()] != cell)
    notes = [f"column {visible(name)!r}: {visible(cell)!r} counts as {visible(usual[cell.casefold()])!r}" for cell in merged[:SHOWN]]
    return [usual[cell.casefold()] if cell else None for cell in cells], notes


def cell_texts(column: pd.Series | Sequence[object]) -> list[str]:
    """Cells as text, stripped; what stands for a missing value is empty."""
    texts = ["" if gone else text_of(value).strip() for value, gone in zip(column, pd.isna(pd.Series(column, dtype=object)), strict=True)]
    return ["" if text in MISSING else text for text in texts]


def _finite(numbers: Float64[np.ndarray, " scan"], name: str) -> tuple[Float64[np.ndarray, " scan"], list[str]]:
    """The numbers without infinite ones, and a note on these."""
    count = int(np.isinf(numbers).sum())
    notes = [f"column {visible(name)!r}: {counted(count, 'infinite value')} counted as missing"] if count else []
    return np.where(np.isfinite(numbers), numbers, np.nan), notes
