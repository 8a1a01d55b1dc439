"""Corrections of volumes for head size, and what each takes for granted.

With head size H and the controls' mean H0 (O'Brien et al. 2011; Liu et al. 2014; Voevodskaya et al. 2014):

- ``covariate``: volumes as they are, H a term of the model. The default: the slope's own error is part of the result.
- ``residual``: V - b (H - H0), b the least-squares slope of V on H in controls alone, nothing else in that regression.
- ``proportion``: V / H, times H0 (so mm3). Takes V to grow in proportion with H; where it grows less it over-corrects, and larger heads
  come out with smaller volumes.
- ``power``: V / H^b, times H0^b (so mm3), b the slope of log V on log H in controls alone.
- ``none``: volumes as they are.

After ``residual`` and ``power`` the model takes b as known: errors of what follows are slightly too small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from jaxtyping import Bool, Float64

from hypojax.reason import Reason, RunError
from hypojax.study.study_settings import HeadSize

METHODS: Final[tuple[HeadSize, ...]] = get_args(HeadSize)

SENTENCES: Final[Mapping[HeadSize, str]] = {
    "covariate": "head size is a covariate of the model",
    "residual": "volumes are residuals of their regression on head size in controls (O'Brien 2011), with the controls' mean added back",
    "proportion": "volumes are proportions of head size, times the controls' mean head size; this over-corrects volumes that grow "
    "less than in proportion to the head",
    "power": "volumes are divided by head size to the power estimated in controls (Liu 2014), times the controls' mean head size to that "
    "power",
    "none": "volumes are not corrected for head size",
}
"""What was done, for texts."""

LEAST_CONTROLS: Final = 10
"""Controls below which no slope or power is estimated: with ten and a correlation of .65 its standard error is 41 % of it already."""

Volumes = Float64[np.ndarray, "scan region"]


@dataclass(frozen=True)
class HeadSizeCorrection:
    """Volumes after a correction for head size.

    Parameters
    ----------
    method
        Which correction.
    volumes
        Corrected volumes, unit of the volumes; NaN where volume or head size is missing (also where head size is not above 0).
    coefficient, coefficient_se
        Of each region: slope b (unit of volumes by unit of head size) or power b, and its standard error; NaN for the other methods.
    mean_head_size
        The controls' mean head size H0; NaN where the method needs none.
    controls
        Of each region: how many controls the coefficient comes from; 0 where there is none.
    """

    method: HeadSize
    volumes: Volumes
    coefficient: Float64[np.ndarray, " region"]
    coefficient_se: Float64[np.ndarray, " region"]
    mean_head_size: float
    controls: tuple[int, ...]


def correct_head_size(
    volumes: Volumes, head_size: Float64[np.ndarray, " scan"], *, controls: Bool[np.ndarray, " scan"], method: HeadSize
) -> HeadSizeCorrection:
    """Volumes corrected for head size by one of the methods of this module.

    Parameters
    ----------
    volumes
        One row a scan, one column a region; NaN where missing.
    head_size
        Intracranial volume or another head size, any unit; NaN where missing.
    controls
        Who the slope, the power and the mean come from.
    method
        ``covariate`` and ``none`` give the volumes back as they are.

    Raises
    ------
    RunError
        USAGE: fewer than `LEAST_CONTROLS` controls have a volume and a head size, or their head sizes do not vary.

    Examples
    --------
    >>> heads = np.linspace(1000.0, 1900.0, 10)
    >>> found = correct_head_size(heads[:, None] / 2, heads, controls=heads > 0, method="residual")
    >>> found.volumes[:2, 0].tolist(), found.coefficient.tolist(), found.mean_head_size
    ([725.0, 725.0], [0.5], 1450.0)
    """
    unknown = np.full(volumes.shape[1], np.nan)
    if method in ("covariate", "none"):
        return HeadSizeCorrection(method, volumes.astype(np.float64), unknown, unknown, float("nan"), (0,) * volumes.shape[1])
    size = np.where(head_size > 0, head_size, np.nan)
    among = controls & np.isfinite(size)
    if not among.any():
        raise RunError(Reason.USAGE, _no_controls(method, 0))
    mean = float(size[among].mean())
    if method == "proportion":
        return HeadSizeCorrection(method, volumes / size[:, None] * mean, unknown, unknown, mean, (0,) * volumes.shape[1])
    lines = [_line(volumes[among, region], size[among], method) for region in range(volumes.shape[1])]
    slopes, errors = (np.array([line[place] for line in lines], np.float64) for place in (0, 1))
    ratio = size[:, None] / mean
    corrected = volumes - slopes * (ratio - 1) * mean if method == "residual" else volumes / ratio**slopes
    return HeadSizeCorrection(method, corrected, slopes, errors, mean, tuple(line[2] for line in lines))


def _line(volumes: Float64[np.ndarray, " control"], size: Float64[np.ndarray, " control"], method: HeadSize) -> tuple[float, float, int]:
    """Slope of volume on head size (of their logarithms for ``power``), its standard error, and how many controls it comes from."""
    known = np.isfinite(volumes) & ((volumes > 0) | (method == "residual"))
    y, x, n = volumes[known], size[known], int(known.sum())
    if method == "power":
        y, x = np.log(y), np.log(x)
    if n < LEAST_CONTROLS:
        raise RunError(Reason.USAGE, _no_controls(method, n))
    x, y = x - x.mean(), y - y.mean()
    if not np.ptp(x) > 0:
        raise RunError(
            Reason.USAGE, f"all {n} controls have the same head size: correct by a covariate (--head-size covariate) or not (none)"
        )
    slope = float(x @ y / (x @ x))
    return slope, float(np.sqrt(((y - slope * x) ** 2).sum() / (n - 2) / (x @ x))), n


def _no_controls(method: HeadSize, n: int) -> str:
    return (
        f"the correction for head size '{method}' is estimated in controls, and {n} of them have a volume and a head size, fewer than "
        f"{LEAST_CONTROLS}: take head size as a covariate (--head-size covariate)"
    )
