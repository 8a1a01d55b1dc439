"""What is exported of a cohort: one row a scan and region as TSV and Parquet, and a summary in a few numbers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from jaxtyping import Shaped

from hypojax.cohort.rows import ALONG, people
from hypojax.schema import DATASET, FLAG_TEXT, FLAGGED, TABLE
from hypojax.storage import Location, place
from hypojax.tables.writer import tsv

PARQUET, TSV = "volumes.parquet", "volumes.tsv"
SENTENCES: Final = ("message", "notes")
"""Columns whose text may name the file of the scan."""


@dataclass(frozen=True)
class RegionSummary:
    """Soft volumes of one region over the scans that have it, mm³.

    Parameters
    ----------
    count
        Scans with a volume.
    missing
        Finished scans without one.
    median, low, high
        Median, 5th and 95th percentile; NaN where no scan has a volume.
    """

    count: int
    missing: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A cohort in a few numbers.

    Parameters
    ----------
    scans, done, failed, pending
        Scans in all, and by status.
    reasons
        Reason → scans that failed for it.
    missing_reasons
        Reason → regions of finished scans without a volume for it.
    flags
        Quality flag → finished scans that carry it.
    seconds
        Median time of a finished scan.
    regions
        Region → its volumes.
    duplicates
        Scans with the voxels of one before them.
    """

    scans: int
    done: int
    failed: int
    pending: int
    reasons: Mapping[str, int]
    missing_reasons: Mapping[str, int]
    flags: Mapping[str, int]
    seconds: float
    regions: Mapping[str, RegionSummary]
    duplicates: int = 0


def tidy(dataset: xr.Dataset) -> pd.DataFrame:
    """One row a scan and region: id, participants columns, region, volumes, status and reasons, flags, quality.

    Columns on ``axis`` become one a stored axis (``voxel_size_mm_i``), those on ``direction`` one an axis of the world
    (``tilt_deg_right``), flags one text. Text that is empty stays empty. Of the place of a file only what `inside_dataset` gives is there,
    since tables are passed on.
    """
    dataset = without_places(dataset)
    asked = [variable for variable in TABLE if variable.name in dataset and variable is not FLAGGED]
    regional, single = ([v.name for v in asked if v.dims[1:] == dims] for dims in (("region",), ()))
    columns = people(dataset)
    along = [(variable.name, dim, label) for variable in asked for dim in variable.dims[1:] for label in ALONG.get(dim, ())]
    axes = {f"{name}_{label}": dataset[name].sel({dim: label}, drop=True) for name, dim, label in along}
    flat = dataset[[*columns, *regional, *single]].assign({FLAG_TEXT.name: _flag_texts(dataset), **axes})
    frame: pd.DataFrame = flat.to_dataframe(dim_order=["scan", "region"]).reset_index()
    texts = frame.select_dtypes(exclude="number").columns
    frame[texts] = frame[texts].fillna("").astype("str")  # whatever array type the text came in; missing where sites were joined
    lead = ["scan", DATASET.name, *columns, "region", *regional, "status", "reason", FLAG_TEXT.name]
    return frame[[*lead, *(column for column in frame.columns if column not in lead)]]


def inside_dataset(path: str) -> str:
    """What of the path of a scan may be passed on: from the folder of its subject on, or the name of its file; never a folder above.

    >>> inside_dataset("/home/ann/dementia/bids/sub-01/anat/sub-01_T1w.nii.gz"), inside_dataset("/home/ann/T1.nii")
    ('sub-01/anat/sub-01_T1w.nii.gz', 'T1.nii')
    """
    parts = re.split(r"[/\\]", path.rstrip("/\\"))
    first = next((number for number, part in enumerate(parts) if part.startswith("sub-")), len(parts) - 1)
    return "/".join(parts[first:])


def without_places(dataset: xr.Dataset) -> xr.Dataset:
    """The table as it is passed on: its paths and messages do not name the folders of the scans."""
    places = [str(place) for place in dataset["path"].values]
    texts = {
        name: [
            without_place(text, place) if isinstance(text, str) else text for text, place in zip(dataset[name].values, places, strict=True)
        ]
        for name in SENTENCES
        if name in dataset
    }
    texts["path"] = [inside_dataset(place) for place in places]
    return dataset.assign({name: dataset[name].copy(data=np.array(values, object)) for name, values in texts.items()})


def without_place(text: str, path: str) -> str:
    """A sentence on a scan without the folders that its file lies in.

    >>> without_place("cannot read /home/ann/T1.nii: no such file", "/home/ann/T1.nii")
    'cannot read T1.nii: no such file'
    """
    folder = path[: len(path.rstrip("/\\")) - len(inside_dataset(path))]
    return text.replace(folder, "") if len(folder) > 1 else text


def exported(dataset: xr.Dataset) -> dict[str, bytes]:
    """``volumes.parquet`` and ``volumes.tsv`` by name."""
    frame = tidy(dataset)
    return {PARQUET: _parquet(frame, dataset), TSV: tsv(frame)}


def export_table(dataset: xr.Dataset, folder: Location) -> tuple[Location, Location]:
    """Write ``volumes.parquet`` and ``volumes.tsv`` into ``folder``, each whole or not at all.

    Returns
    -------
    The two paths.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    for name, data in exported(dataset).items():
        place(folder / name, data)
    return folder / PARQUET, folder / TSV


def summary(dataset: xr.Dataset) -> Summary:
    """A cohort in a few plain numbers.

    Examples
    --------
    >>> from hypojax import cohort
    >>> entry = {"scan": "sub-01", "path": "a.nii", "entities": {}, "columns": {}}
    >>> summary(cohort.build([], [entry])).pending
    1
    """
    status = Counter(str(value) for value in dataset["status"].values)
    done = dataset.isel(scan=np.flatnonzero(dataset["status"].values == "done"))
    failed = dataset["reason"].values[dataset["status"].values == "failed"]
    missing = [str(reason) for reason in done["missing_reason"].values.ravel() if reason]
    return Summary(
        scans=dataset.sizes["scan"],
        done=status["done"],
        failed=status["failed"],
        pending=status["pending"],
        reasons=_counts(str(reason) for reason in failed),
        missing_reasons=_counts(missing),
        flags=_counts(str(flag) for row in done[FLAGGED.name].values for flag in done["flag"].values[row]),
        seconds=_quantile(done["seconds"].values, 0.5),
        regions={str(region): _region_summary(done["volume_mm3"].sel(region=region).values) for region in dataset["region"].values},
        duplicates=int((dataset["duplicate_of"].values != "").sum()),
    )


def _flag_texts(dataset: xr.Dataset) -> xr.DataArray:
    """The flags of each scan as one text."""
    texts = [" ".join(dataset["flag"].values[row]) for row in dataset[FLAGGED.name].values]
    return xr.DataArray(np.array(texts, object), dims="scan", attrs=FLAG_TEXT.attributes)


def _parquet(frame: pd.DataFrame, dataset: xr.Dataset) -> bytes:
    """The frame as Parquet; every column carries its unit and long name."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [field.with_metadata(_column_metadata(field.name, dataset)) for field in table.schema]
    buffer = BytesIO()
    pq.write_table(table.cast(pa.schema(fields, metadata=table.schema.metadata)), buffer, compression="zstd")
    return buffer.getvalue()


def _column_metadata(column: str, dataset: xr.Dataset) -> dict[str, str]:
    """Attributes of the variable that a column comes from."""
    if column == FLAG_TEXT.name:
        return FLAG_TEXT.attributes
    name = column if column in dataset.variables else column.rsplit("_", 1)[0]
    return {key: str(value) for key, value in dataset[name].attrs.items()}


def _counts(values: Iterable[str]) -> dict[str, int]:
    """Value → how often, most often first."""
    return dict(Counter(values).most_common())


def _region_summary(volumes: Shaped[np.ndarray, "scan"]) -> RegionSummary:
    """Volumes of one region over finished scans."""
    known = volumes[np.isfinite(volumes)]
    low, median, high = (_quantile(known, share) for share in (0.05, 0.5, 0.95))
    return RegionSummary(count=known.size, missing=volumes.size - known.size, median=median, low=low, high=high)


def _quantile(values: Shaped[np.ndarray, "scan"], share: float) -> float:
    """A quantile of the finite values; NaN where there is none."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if known.size else float("nan")
