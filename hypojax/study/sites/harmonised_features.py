"""Which regions are harmonised, and which are recomputed from their parts: a whole is never fitted beside its parts."""

from typing import Final

import numpy as np
import xarray as xr

from hypojax.schema import LABELS, PARTS

SIDES: Final = ("hypothalamus_left", "hypothalamus_right")


def parts_of(region: str, regions: tuple[str, ...]) -> tuple[str, ...]:
    """Regions of the sample that a whole is the sum of; none where it is a part, or where parts are not there.

    >>> parts_of("hypothalamus", ("hypothalamus", "hypothalamus_left", "hypothalamus_right"))
    ('hypothalamus_left', 'hypothalamus_right')
    >>> parts_of("icv", ("icv", "hypothalamus"))
    ()
    """
    subunits = tuple(LABELS[value] for value in PARTS.get(region, ()))
    for parts in (subunits, SIDES if region == "hypothalamus" else ()):
        if len(parts) > 1 and set(parts) <= set(regions):
            return parts
    return ()


def features_of(volumes: xr.DataArray) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Regions that are harmonised, and those that stay as they are: constant over all scans, or without any volume.

    Parameters
    ----------
    volumes
        (scan, region); missing is NaN. The scans that take part.

    Examples
    --------
    >>> features_of(xr.DataArray([[1.0, 5.0], [2.0, 5.0]], dims=("scan", "region"), coords={"region": ["icv", "other"]}))
    (('icv',), ('other',))
    """
    regions = tuple(volumes["region"].to_numpy().tolist())
    filled = tuple(region for region in regions if bool(np.isfinite(volumes.sel(region=region)).any()))
    single = [region for region in regions if not parts_of(region, filled)]
    varying = tuple(region for region in single if _varies(volumes.sel(region=region).to_numpy()))
    return varying, tuple(region for region in single if region not in varying)


def recomputed(volumes: xr.DataArray) -> xr.DataArray:
    """Volumes with every whole as the sum of its parts; a whole with a missing part is missing."""
    regions = tuple(volumes["region"].to_numpy().tolist())
    filled = tuple(region for region in regions if bool(np.isfinite(volumes.sel(region=region)).any()))
    found = volumes.copy()
    for region in regions:
        if parts := parts_of(region, filled):
            finest = [one for part in parts for one in (parts_of(part, filled) or (part,))]
            found.loc[{"region": region}] = volumes.sel(region=finest).sum("region", skipna=False)
    return found


def _varies(values: np.ndarray) -> bool:
    """Whether there are different values, beyond rounding."""
    known = values[np.isfinite(values)]
    return bool(known.size) and float(np.ptp(known)) > 1e-9 * float(np.abs(known).max())
