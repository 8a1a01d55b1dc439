"""What a volume depends on besides the disease and the scanner: head size, and age and sex where the table knows them."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64

from hypojax.matching.participants import AGE_NAMES, SEX_NAMES, SEXES
from hypojax.tables import plain, text_of
from hypojax.tables.age import age_of
from hypojax.tables.column import per_year

KNOWN: Final = 0.8
"""Share of the scans of each side that must have a covariate."""

Columns = tuple[Float64[np.ndarray, "reference"], Float64[np.ndarray, "new"]]


def covariates(reference: xr.Dataset, new: xr.Dataset) -> dict[str, Columns]:
    """Covariates that both cohorts know of most scans, by name: ``head size`` (logarithm of mm³), ``age``, ``sex`` (0 and 1)."""
    both = (reference, new)
    found = {
        "head size": _both(_head_size(side) for side in both),
        "age": _both(_age(side) for side in both),
        "sex": _coded(*(_sex(side) for side in both)),
    }
    return {name: columns for name, columns in found.items() if all(_usable(side) for side in columns)}


def _both(sides: Iterator[Float64[np.ndarray, "..."]]) -> Columns:
    """The values of both sides."""
    first, second = sides
    return first, second


def _usable(values: Float64[np.ndarray, "..."]) -> bool:
    """Whether a covariate is known of most scans."""
    return bool(np.isfinite(values).mean() >= KNOWN) if values.size else False


def _head_size(dataset: xr.Dataset) -> Float64[np.ndarray, "scan"]:
    """Logarithm of the intracranial volume; NaN for scans that were not done, who count for nothing here."""
    if "icv" not in dataset["region"]:
        return np.full(dataset.sizes["scan"], np.nan)
    volume = dataset["volume_mm3"].sel(region="icv").to_numpy()
    return np.log(np.where(volume > 0, volume, np.nan))


def _age(dataset: xr.Dataset) -> Float64[np.ndarray, "scan"]:
    """Age, years."""
    name = _name(dataset, AGE_NAMES)
    unit = per_year(name or "age")
    ages = [None if pd.isna(value) else age_of(text_of(value), per_year=unit) for value in _column(dataset, AGE_NAMES)]
    return np.array([np.nan if age is None else age / unit for age in ages], np.float64)


def _sex(dataset: xr.Dataset) -> pd.Series:
    """Sex as the table has it, words as M and F; missing where there is none."""
    values = _column(dataset, SEX_NAMES).map(text_of, na_action="ignore").astype(object)
    return values.replace("", np.nan).map(lambda value: SEXES.get(value.casefold(), value), na_action="ignore")


def _column(dataset: xr.Dataset, names: tuple[str, ...]) -> pd.Series:
    """A column of the participants table by any of its names."""
    name = _name(dataset, names)
    return pd.Series(dataset[name].values.tolist() if name else np.nan, index=range(dataset.sizes["scan"]), dtype=object)


def _name(dataset: xr.Dataset, names: tuple[str, ...]) -> str | None:
    """The first of some names that a column of scans has, as it is spelled there."""
    by_name = {plain(str(name)): str(name) for name in dataset.variables if dataset[name].dims == ("scan",)}
    return next((by_name[name] for name in names if name in by_name), None)


def _coded(reference: pd.Series, new: pd.Series) -> Columns:
    """Sex as 0 and 1, the same in both; unknown throughout where the two use other codes."""
    kinds = sorted({*reference.dropna(), *new.dropna()})
    return _both(
        side.map({kind: float(number) for number, kind in enumerate(kinds)} if len(kinds) == 2 else {}).to_numpy(dtype=np.float64)
        for side in (reference, new)
    )
