"""Samples made of a table in memory."""

from collections.abc import Sequence

import pandas as pd
import xarray as xr

from hypojax.study.people.sample import Sample


def sample_of(table: pd.DataFrame, regions: Sequence[str], *, unit: str = "mm3") -> Sample:
    """A sample of a table whose index is the scans; ``regions`` are its columns of volumes, the others those of people."""
    scans = table.index.astype(str).to_numpy(object)
    coordinates = {"scan": scans, "region": list(regions)}
    volumes = xr.DataArray(table[list(regions)].to_numpy(float), dims=("scan", "region"), coords=coordinates, attrs={"units": unit})
    people = table.drop(columns=[name for name in regions if name != "icv"]).set_axis(scans)
    none = pd.Series(False, people.index)
    return Sample(volumes, people, None, none, none, (), {}, (), reference="control" if "group" in people else None)
