"""One reported number: an estimate with its error, test and interval; and tables and Datasets of them."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import pandas as pd
import xarray as xr

from hypojax.study.models.linear import Estimates

NAN: Final = float("nan")

DIMS: Final = ("region", "term", "contrast", "quantity", "method")
"""What tells one effect from another."""


class Effect(NamedTuple):
    """One row of ``effects.tsv``.

    Parameters
    ----------
    region
        The structure whose volume is the outcome.
    term
        Term of the formula: ``group``, ``age``, ``group:sex``.
    contrast
        What is compared: ``patient - control``; empty for the slope of a number.
    quantity
        What the estimate is: ``difference``, ``percent``, ``hedges_g``, ``hedges_g_adjusted``, ``slope``, ``interaction`` ….
    method
        Model and errors: ``linear model, HC3, t``.
    estimate, unit, se, statistic, df, p, ci_low, ci_high
        The number with its error and 95 % interval. ``df`` is NaN where the normal distribution was used.
    n
        Scans (or people, where ``method`` says so) behind it.
    p_fdr, p_fwer
        The p-value corrected over the regions of its family: false discovery rate, and family-wise by permutation. NaN where not made.
    """

    region: str
    term: str
    contrast: str
    quantity: str
    method: str
    estimate: float
    unit: str
    se: float = NAN
    statistic: float = NAN
    df: float = NAN
    p: float = NAN
    ci_low: float = NAN
    ci_high: float = NAN
    n: int = 0
    p_fdr: float = NAN
    p_fwer: float = NAN


COLUMNS: Final = (
    "region", "term", "contrast", "quantity", "method", "estimate", "unit", "se", "statistic", "df", "p", "ci_low", "ci_high", "n",
    "p_fdr", "p_fwer",
)  # fmt: skip
"""Columns of ``effects.tsv`` in order."""


def effect_rows(
    made: Estimates, regions: Sequence[str], *, n: int, term: str, contrast: str, quantity: str, method: str, unit: str
) -> Iterator[Effect]:
    """Estimates of all regions as rows of ``effects.tsv``."""
    columns = (made.estimate, made.se, made.statistic, made.p, made.low, made.high)
    for region, estimate, se, statistic, p, low, high in zip(regions, *(one.tolist() for one in columns), strict=True):
        yield Effect(region, term, contrast, quantity, method, estimate, unit, se, statistic, float(made.df), p, low, high, n)


def effects_table(effects: Sequence[Effect]) -> pd.DataFrame:
    """Effects as a long table with the columns `COLUMNS`.

    >>> effects_table([Effect("icv", "sex", "M - F", "difference", "linear model, HC3, t", 1.5e5, "mm3")]).shape
    (1, 16)
    """
    return pd.DataFrame([effect._asdict() for effect in effects], columns=list(COLUMNS))


def effects_dataset(effects: Sequence[Effect]) -> xr.Dataset:
    """Effects as one Dataset over `DIMS`; combinations that were not made are NaN. ``unit`` is a variable over quantity.

    Raises
    ------
    ValueError
        Two effects have the same names in all of `DIMS`.

    Examples
    --------
    >>> found = effects_dataset([Effect("icv", "sex", "M - F", "difference", "linear model, HC3, t", 1.5e5, "mm3")])
    >>> float(found.estimate.sel(region="icv", quantity="difference").item())
    150000.0
    """
    table = effects_table(effects)
    names = list(DIMS)
    if table.duplicated(names).any():
        raise ValueError(f"the same effect twice: {table.loc[table.duplicated(names), names].iloc[0].to_dict()}")
    numbers = [name for name in COLUMNS if name not in (*DIMS, "unit")]
    order = {name: list(dict.fromkeys(table[name])) for name in names}
    found = table.set_index(names)[numbers].astype(float).to_xarray().reindex(order) if len(table) else xr.Dataset(coords=order)
    unit = table.drop_duplicates("quantity").set_index("quantity")["unit"].reindex(order["quantity"])
    return found.assign(unit=("quantity", unit.to_numpy(object)))
