"""The cohort: ledger records and participants tables as one xarray Dataset; tidy exports and a summary of it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xarray as xr
from jaxtyping import Shaped

from hypojax.schema import DATASET, REGIONS, SCAN, SCAN_REGION, TABLE, Variable
from hypojax.storage import Location, Place, locate
from hypojax.store import ScanEntry, ScanRecord, check_table
from hypojax.store.index import Column
from hypojax.store.objects import place
from hypojax.store.root import open_table
from hypojax.tables import is_age_name, text_of
from hypojax.tables.age import age_of
from hypojax.tables.column import per_year
from hypojax.tables.write import tsv
from hypojax.visible import visible
from hypojax.volumes.flags import peer_notes

AXES: Final = ("i", "j", "k")
"""Stored axes of a scan, the labels of dimension ``axis``."""

COORDINATES: Final = {
    "scan": "Scan id",
    "region": "Region: intracranial volume, hypothalamus as a whole and by side, then its ten subunits (Bocchetta 2015; Billot 2020)",
    "axis": "Stored axis of the scan's voxels",
}
RESERVED: Final = frozenset(
    {
        *(variable.name for variable in TABLE),
        *(f"{variable.name}_{axis}" for variable in TABLE if "axis" in variable.dims for axis in AXES),
        *COORDINATES,
        *("scans", "ledger", "zarr.json"),
    }
)
"""Names that a column of a participants table cannot have (compared without case: some file systems do not tell)."""

WHITE_SPACE: Final = "\t\n\r"
"""Kept in cells and sentences, which may have lines; names of scans and files have it spelled out."""

LONGEST_NAME: Final = 120
"""Bytes of a coordinate's name: columns can be whole questions, file systems take 255 bytes."""

PARQUET, TSV = "volumes.parquet", "volumes.tsv"


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


def build(records: Iterable[ScanRecord], scans: Sequence[ScanEntry]) -> xr.Dataset:
    """The cohort's table: every input has a row, also the one that failed or has not been run.

    Parameters
    ----------
    records
        Ledger records (`hypojax.store.CohortStore.records`), in any order.
    scans
        All inputs (`hypojax.store.CohortStore.scans`).

    Returns
    -------
    Dataset with dims ``scan`` (ordered by id), ``region`` and ``axis``; the variables of `schema.TABLE` with units and
    long names; dataset, entities and columns of participants tables as coordinates on ``scan``.

    Examples
    --------
    >>> table = build([], [ScanEntry(scan="sub-01", path="a.nii", entities={}, columns={"age": 31})])
    >>> table.status.values.tolist(), table.age.values.tolist(), bool(table.volume_mm3.isnull().all())
    (['pending'], [31], True)
    """
    entries = sorted(scans, key=lambda entry: entry["scan"])
    by_scan = {record["scan"]: record for record in records}
    rows = _with_duplicates({entry["scan"]: _row(entry, by_scan.get(entry["scan"])) for entry in entries})
    rows = _with_peers(rows, [entry.get("dataset", "") for entry in entries])
    variables = {variable.name: _variable(variable, rows) for variable in TABLE}
    index = {"scan": [visible(entry["scan"]) for entry in entries], "region": list(REGIONS), "axis": list(AXES)}
    coordinates = {name: xr.Variable((name,), np.array(index[name], object), {"long_name": text}) for name, text in COORDINATES.items()}
    return xr.Dataset(variables, coords={**coordinates, **_dataset(entries), **_participants(entries)})


def open_cohort(path: Place) -> xr.Dataset:
    """The table of a cohort store, read whole into memory.

    Parameters
    ----------
    path
        The store (``cohort.zarr``), or the output folder that holds it: a path, or a URL (``s3://bucket/out``).

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    """
    root = locate(path)
    root = root / "cohort.zarr" if (root / "cohort.zarr").is_dir() else root
    check_table(root)
    with open_table(root) as table:
        return table.load()


def tidy(dataset: xr.Dataset) -> pd.DataFrame:
    """One row a scan and region: id, participants columns, region, volumes, status and reasons, flags, quality.

    Columns on ``axis`` become one a stored axis (``voxel_size_mm_i``). Text that is empty stays empty.
    """
    axes = {f"{name}_{axis}": dataset[name].sel(axis=axis, drop=True) for name in _on(dataset, "axis") for axis in AXES}
    flat = dataset.drop_dims("axis").assign(axes)
    frame: pd.DataFrame = flat.to_dataframe(dim_order=["scan", "region"]).reset_index()
    frame = frame.astype(dict.fromkeys(frame.select_dtypes(exclude="number").columns, "str"))  # whatever array type the text came in
    participants = [str(name) for name in dataset.coords if name not in COORDINATES]
    lead = ["scan", *participants, "region", *_on(flat, "region"), "status", "reason", "flags"]
    return frame[[*lead, *(column for column in frame.columns if column not in lead)]]


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
    >>> summary(build([], [ScanEntry(scan="sub-01", path="a.nii", entities={}, columns={})])).pending
    1
    """
    status = Counter(str(value) for value in dataset["status"].values)
    done = dataset.isel(scan=np.flatnonzero(dataset["status"].values == "done"))
    failed = dataset["reason"].values[dataset["status"].values == "failed"]
    flags = [flag for text in done["flags"].values for flag in str(text).split()]
    missing = [str(reason) for reason in done["missing_reason"].values.ravel() if reason]
    return Summary(
        scans=dataset.sizes["scan"],
        done=status["done"],
        failed=status["failed"],
        pending=status["pending"],
        reasons=_counts(str(reason) for reason in failed),
        missing_reasons=_counts(missing),
        flags=_counts(flags),
        seconds=_quantile(done["seconds"].values, 0.5),
        regions={str(region): _region_summary(done["volume_mm3"].sel(region=region).values) for region in dataset["region"].values},
        duplicates=int((dataset["duplicate_of"].values != "").sum()),
    )


def _row(entry: ScanEntry, record: ScanRecord | None) -> dict[str, Any]:
    """Values of one scan by variable: a scalar, or a list along region or axis; None where missing."""
    if record is None:
        return {"path": entry["path"], "status": "pending"}
    regions: Mapping[str, Mapping[str, Any]] = record["regions"]
    regional = [variable.name for variable in TABLE if variable.dims == SCAN_REGION]
    volumes = {name: [regions.get(region, {}).get(name) for region in REGIONS] for name in regional}
    return {
        **record["row"],
        **volumes,
        "path": entry["path"],
        "status": record["status"],
        "reason": record["reason"],
        "message": record["message"],
    }


def _with_duplicates(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows, by scan and in order of ids, with the first scan that has the same voxels.

    >>> [row["duplicate_of"] for row in _with_duplicates({name: {"voxels_checksum": name[0]} for name in ("a1", "a2", "b1")})]
    ['', 'a1', '']
    """
    first: dict[str, str] = {}
    for scan, row in rows.items():
        first.setdefault(row.get("voxels_checksum") or f"of {scan} alone", scan)
    same = {scan: first.get(row.get("voxels_checksum") or "", scan) for scan, row in rows.items()}
    return [{**row, "duplicate_of": same[scan] if same[scan] != scan else ""} for scan, row in rows.items()]


def _with_peers(rows: Sequence[Mapping[str, Any]], datasets: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with the flags and notes that only the other scans of a dataset can raise."""
    found = zip(rows, peer_notes(rows, datasets=datasets), strict=True)
    return [
        {
            **row,
            "flags": " ".join(filter(None, (str(row.get("flags") or ""), *raised))),
            "notes": " ".join(filter(None, (str(row.get("notes") or ""), *(f"{note}." for note in raised.values())))),
        }
        if raised
        else dict(row)
        for row, raised in found
    ]


def _variable(variable: Variable, rows: Sequence[Mapping[str, Any]]) -> xr.Variable:
    """One variable of the table as `schema` declares it."""
    sizes = {"region": len(REGIONS), "axis": len(AXES)}
    values = np.full([len(rows), *(sizes[dim] for dim in variable.dims[1:])], None, object)
    for number, row in enumerate(rows):
        if (value := row.get(variable.name)) is not None:
            values[number] = value
    if variable.dtype == "str":
        return xr.Variable(variable.dims, _texts(values, keep="" if variable.name == "path" else WHITE_SPACE), variable.attributes)
    numbers = np.where(values == None, np.nan, values).astype(variable.dtype)  # noqa: E711  (asked of every element)
    return xr.Variable(variable.dims, numbers, variable.attributes)


def _dataset(entries: Sequence[ScanEntry]) -> dict[str, xr.Variable]:
    """The dataset of each scan as a coordinate on ``scan``; none where no entry says it, as in stores of older versions."""
    if not any(DATASET.name in entry for entry in entries):
        return {}
    names = _texts(np.array([entry.get("dataset") for entry in entries], object))
    return {DATASET.name: xr.Variable(SCAN, names, DATASET.attributes)}


def _participants(entries: Sequence[ScanEntry]) -> dict[str, xr.Variable]:
    """Entities and participants columns as coordinates on ``scan``."""
    taken = {name.casefold() for name in (*RESERVED, *_dataset(entries))}
    found: dict[str, xr.Variable] = {}
    for origin, table in (
        ("BIDS entity", [entry["entities"] for entry in entries]),
        ("Participants column", [entry["columns"] for entry in entries]),
    ):
        for column in dict.fromkeys(name for row in table for name in row):
            name = _coordinate_name(column, taken)
            taken.add(name.casefold())
            found[name] = xr.Variable(
                SCAN, _column([row.get(column) for row in table], column), {"long_name": f"{origin} {visible(column)!r}"}
            )
    return found


def _coordinate_name(column: str, taken: set[str]) -> str:
    """A name for a participants column that Zarr can store and no other column has.

    Blanks go too: xarray lists coordinates in one attribute, separated by blanks. The long name keeps what the table says.

    >>> _coordinate_name("status", {"status"}), _coordinate_name("IQ a/b", set()), _coordinate_name(" ", {"column"})
    ('status_participant', 'IQ_a_b', 'column_participant')
    """
    plain = re.sub(r"^[._]+", "_", re.sub(r"[\s/\\\0]", "_", visible(column, keep=WHITE_SPACE)))
    # A name of nothing but blanks says nothing, and with a suffix would begin with two underscores, which Zarr reserves.
    name = plain.encode()[:LONGEST_NAME].decode(errors="ignore") if plain not in {"", "_"} else "column"
    while name.casefold() in taken:
        name = f"{name}_participant"
    return name


def _column(values: Sequence[Column], name: str = "") -> Shaped[np.ndarray, "scan"]:
    """Values of a participants column: integers, or numbers (missing is NaN), or else text (missing is empty).

    Ages are numbers where any of them is one, whatever another table of the same cohort holds in their place.
    """
    if is_age_name(name):
        ages = [None if value is None else age_of(text_of(value), per_year=per_year(name)) for value in values]
        if any(age is not None for age in ages) or all(value is None for value in values):
            whole = all(isinstance(value, int) for value in values)
            return np.array([np.nan if age is None else age for age in ages], np.int64 if whole else np.float64)
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int) and abs(value) < 2**63 for value in known) and len(known) == len(values):
        return np.array(values, np.int64)
    if known and all(isinstance(value, float) or (isinstance(value, int) and abs(value) <= 2**53) for value in known):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return _texts(np.array(values, object), keep=WHITE_SPACE)


def _texts(values: Shaped[np.ndarray, "..."], *, keep: str = "") -> Shaped[np.ndarray, "..."]:
    """The same array as text, with what is not printable (but for ``keep``) spelled out; missing is empty."""
    texts = np.array(["" if value is None else visible(str(value), keep=keep) for value in values.ravel()], object)
    return texts.reshape(values.shape)


def _on(dataset: xr.Dataset, dim: str) -> list[str]:
    """Variables of the table that lie on a dim."""
    return [str(name) for name, variable in dataset.data_vars.items() if dim in variable.dims]


def _parquet(frame: pd.DataFrame, dataset: xr.Dataset) -> bytes:
    """The frame as Parquet; every column carries its unit and long name."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [field.with_metadata(_column_metadata(field.name, dataset)) for field in table.schema]
    buffer = BytesIO()
    pq.write_table(table.cast(pa.schema(fields, metadata=table.schema.metadata)), buffer, compression="zstd")
    return buffer.getvalue()


def _column_metadata(column: str, dataset: xr.Dataset) -> dict[str, str]:
    """Attributes of the variable that a column comes from."""
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
