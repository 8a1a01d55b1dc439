"""Volumes of scans as points, with the mean of each group and its interval."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy import stats

from hypojax.pages.palette import GROUP_COLOURS
from hypojax.plot.average import groups_of
from hypojax.plot.house_style import COLUMN, MANY, new_axes, style_axes
from hypojax.reason import HypojaxError, Reason

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPREAD: Final = 0.16
"""Half width of a cloud of points, of the distance of two groups."""

MILLILITRES: Final = 100_000.0
"""mm³ of a median volume from which on an axis has mL."""


def volumes(cohort: xr.Dataset, by: str | None = "group", *, region: str = "hypothalamus", ax: "Axes | None" = None) -> "Axes":
    """Draw the volume of a region of every scan, one column of points a group, with the group's mean and its 95 % interval.

    Volumes are as measured: not adjusted for head size, age or sex, which `hypojax.study` does.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it. Scans whose volume is missing are left out; n is that of the points.
    by
        Column of scans that groups them; None: one group.
    region
        One of ``cohort.region``.
    ax
        Axes to draw into. Default: those of a new figure, as wide as a column of a page.

    Returns
    -------
    The axes.

    Raises
    ------
    HypojaxError
        USAGE: the cohort has no such column or region, or no volume of it; or matplotlib is not installed.
    """
    if region not in cohort["region"].values:
        raise HypojaxError(Reason.USAGE, f"volumes: no region {region!r}; it is one of {', '.join(map(str, cohort['region'].values))}")
    measured = cohort["volume_mm3"].sel(region=region).to_series()
    found = {name: measured[scans].to_numpy(np.float64) for name, scans in groups_of(cohort, by).items()}
    found = {name: values[np.isfinite(values)] for name, values in found.items()}
    found = {name: values for name, values in found.items() if len(values)}
    if not found:
        raise HypojaxError(Reason.USAGE, f"volumes: no scan has a volume of {region}" + (f" and a value of {by!r}" if by else ""))
    large = float(np.median(np.concatenate(list(found.values())))) > MILLILITRES
    ax = ax or new_axes(COLUMN, 2.6)
    for place, (values, colour) in enumerate(zip(found.values(), _colours(len(found)), strict=True)):
        _draw_group(ax, place, values / (1000 if large else 1), colour)
    ax.set_xticks(range(len(found)), [f"{name}\nn = {len(values):,}".strip() for name, values in found.items()])
    ax.set_xlim(-0.6, len(found) - 0.4)
    name = "intracranial volume" if region == "icv" else region.replace("_", " ")
    style_axes(ax, ylabel=f"{name} ({'mL' if large else 'mm³'})")
    return ax


def _draw_group(ax: "Axes", place: int, values: Float64[np.ndarray, " n"], colour: str) -> None:
    """The points of a group, its mean, and where there are three or more the 95 % interval of the mean (Student's t)."""
    shift = np.random.default_rng(place).uniform(-SPREAD, SPREAD, len(values))
    many: dict[str, Any] = {"s": 4, "alpha": 0.4, "rasterized": True} if len(values) > MANY else {"s": 10, "alpha": 0.7}
    ax.scatter(place + shift, values, color=colour, linewidths=0, **many)
    mean, half = float(values.mean()), 0.0
    if len(values) > 2:
        half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    ax.errorbar([place + 0.32], [mean], yerr=[half], fmt="o", color="black", markersize=3.5, linewidth=1, capsize=2.5, capthick=1)


def _colours(count: int) -> list[str]:
    return [GROUP_COLOURS[place % len(GROUP_COLOURS)] for place in range(count)]
