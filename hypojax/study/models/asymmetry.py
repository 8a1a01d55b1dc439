"""Left against right: the asymmetry index of structures that come in two."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float64

SIDES: Final = ("left", "right")


def asymmetry_index(left: Float64[np.ndarray, "*volumes"], right: Float64[np.ndarray, "*volumes"]) -> Float64[np.ndarray, "*volumes"]:
    """Asymmetry index, %: 100 (left - right) / ((left + right) / 2); positive where the left is larger.

    Twice the index that divides by the sum (both have the same name in the literature). NaN where a side is missing or both are 0.

    >>> asymmetry_index(np.array([110.0, 100.0]), np.array([90.0, 100.0])).tolist()
    [20.0, 0.0]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * (left - right) / ((left + right) / 2), np.float64)


def pairs_of_sides(regions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Structures of which both sides are there → their (left, right) regions, in the order of the regions.

    >>> pairs_of_sides(["hypothalamus_left", "icv", "hypothalamus_right", "left_posterior", "right_posterior", "left_x"])
    {'hypothalamus': ('hypothalamus_left', 'hypothalamus_right'), 'posterior': ('left_posterior', 'right_posterior')}
    """
    names = tuple(regions)
    left = SIDES[0]
    pairs = {_without(name, left): (name, _mirrored(name)) for name in names if _without(name, left) != name}
    return {structure: pair for structure, pair in pairs.items() if pair[1] in names}


def asymmetry_of(volumes: xr.DataArray) -> xr.DataArray:
    """Asymmetry index, %, of every structure with both sides (see `asymmetry_index`).

    Parameters
    ----------
    volumes
        Volumes over (scan, region), any unit.

    Returns
    -------
    Index over (scan, region), where region names the structure: ``hypothalamus``, ``posterior``.

    Examples
    --------
    >>> volumes = xr.DataArray([[11.0, 9.0]], dims=("scan", "region"), coords={"region": ["left_posterior", "right_posterior"]})
    >>> asymmetry_of(volumes).sel(region="posterior").item()
    20.0
    """
    pairs = pairs_of_sides(volumes.region.values.tolist())
    lefts, rights = (volumes.sel(region=[pair[side] for pair in pairs.values()]) for side in (0, 1))
    index = asymmetry_index(lefts.values.astype(np.float64), rights.values.astype(np.float64))
    return lefts.copy(data=index).assign_coords(region=list(pairs)).assign_attrs(units="%", long_name="asymmetry index, left larger > 0")


def _without(name: str, side: str) -> str:
    """A region's name without its side."""
    parts = name.split("_")
    return "_".join(part for part in parts if part != side)


def _mirrored(name: str) -> str:
    left, right = SIDES
    return "_".join(right if part == left else part for part in name.split("_"))
