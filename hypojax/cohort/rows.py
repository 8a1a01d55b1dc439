"""The table of a cohort: ledger records and participants' columns as one xarray Dataset, a row for every input."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Shaped

from hypojax.cohort.region_scores import record_by_region
from hypojax.reason import visible
from hypojax.schema import AFFINE, COHORT_ARRAYS, DATASET, FLAG_TEXT, FLAGGED, REGIONS, SCAN, SCAN_REGION, TABLE, WORLD_AXES, Variable
from hypojax.store import ScanEntry, ScanRecord
from hypojax.store.index import Column
from hypojax.tables import is_age_name, text_of
from hypojax.tables.cells import per_year
from hypojax.tables.dates import age_of
from hypojax.volumes.flags import FLAGS, peer_notes

AXES: Final = ("i", "j", "k")
"""Stored axes of a scan, the labels of dimension ``axis``."""

ALONG: Final = {"axis": AXES, "direction": WORLD_AXES}
"""Dimension of three values → its labels, which end the names of columns in tables of text."""

COORDINATES: Final = {
    "scan": "Scan id",
    "region": "Region: intracranial volume, hypothalamus as a whole and by side, then its ten subunits (Bocchetta 2015; Billot 2020)",
    "axis": "Stored axis of the scan's voxels",
    "direction": "Axis of the scan's world, RAS+",
    "flag": "Quality flag: what asks somebody to look at the scan",
}
RESERVED: Final = frozenset(
    {
        *(variable.name for variable in TABLE),
        *(f"{variable.name}_{label}" for variable in TABLE for label in ALONG.get(variable.dims[-1], ())),
        *COORDINATES,
        *(DATASET.name, FLAG_TEXT.name),
        *(name for array in COHORT_ARRAYS for name in (array.name, *array.dims)),
        *("head_image", "head_posterior"),
        *("native", "labels", "ledger", "evaluations", "world", "voxel", "zarr.json"),
    }
)
"""Names that a column of a participants table cannot have (compared without case: some file systems do not tell)."""

WHITE_SPACE: Final = "\t\n\r"
"""Kept in cells and sentences, which may have lines; names of scans and files have it spelled out."""

LONGEST_NAME: Final = 120
"""Bytes of a column's name: columns can be whole questions, file systems take 255 bytes."""


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
    Dataset with dims ``scan`` (in the order of ``scans``), ``region``, ``axis``, ``direction``, ``flag``, ``world`` and ``voxel``; the
    variables of `schema.TABLE` with units and long names, of which the affines are coordinates, as is the ``dataset`` of each scan;
    entities and columns of participants tables as variables on ``scan`` (`people`): as coordinates, `xarray.concat` would refuse two
    cohorts whose columns differ.

    Examples
    --------
    >>> table = build([], [ScanEntry(scan="sub-01", path="a.nii", entities={}, columns={"age": 31})])
    >>> table.status.values.tolist(), table.age.values.tolist(), bool(table.volume_mm3.isnull().all())
    (['pending'], [31], True)
    """
    entries = list(scans)
    by_scan = {record["scan"]: record for record in records}
    found = {entry["scan"]: _row(entry, by_scan.get(entry["scan"])) for entry in sorted(entries, key=lambda entry: entry["scan"])}
    same = dict(zip(found, _with_duplicates(found), strict=True))
    rows = [same[entry["scan"]] for entry in entries]
    rows = _with_peers(rows, [entry.get("dataset", "") for entry in entries])
    flags = _flags(rows)
    variables = {variable.name: _flagged(rows, flags) if variable is FLAGGED else _variable(variable, rows) for variable in TABLE}
    index = {"scan": [visible(entry["scan"]) for entry in entries], "region": list(REGIONS), "flag": flags, **ALONG}
    coordinates = {name: xr.Variable((name,), np.array(index[name], object), {"long_name": text}) for name, text in COORDINATES.items()}
    table = xr.Dataset({**variables, **_participants(entries)}, coords={**coordinates, DATASET.name: _dataset(entries)})
    return table.set_coords([variable.name for variable in TABLE if variable.dims[1:] == AFFINE.dims])


def people(dataset: xr.Dataset) -> list[str]:
    """Names of the columns of participants tables and BIDS entities in a cohort, in their order.

    Examples
    --------
    >>> people(build([], [ScanEntry(scan="sub-01", path="a.nii", entities={"subject": "01"}, columns={"age": 31})]))
    ['subject', 'age']
    """
    return [str(name) for name, values in dataset.variables.items() if values.dims == SCAN and str(name) not in RESERVED]


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
        **record_by_region(record["row"]),
        "notes": " ".join(filter(None, (record["row"].get("notes"), entry.get("changed")))),
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


def _flags(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every flag of `volumes.FLAGS`, then those that only records of other versions have."""
    found = {flag for row in rows for flag in str(row.get(FLAG_TEXT.name) or "").split()}
    return [*FLAGS, *sorted(found - set(FLAGS))]


def _flagged(rows: Sequence[Mapping[str, Any]], flags: Sequence[str]) -> xr.Variable:
    """Which scan carries which flag."""
    own = [set(str(row.get(FLAG_TEXT.name) or "").split()) for row in rows]
    values = np.array([[flag in found for flag in flags] for found in own], bool).reshape(len(rows), len(flags))
    return xr.Variable(FLAGGED.dims, values, FLAGGED.attributes)


def _variable(variable: Variable, rows: Sequence[Mapping[str, Any]]) -> xr.Variable:
    """One variable of the table as `schema` declares it."""
    sizes = {"region": len(REGIONS), "axis": 3, "direction": 3, "world": 4, "voxel": 4}
    values = np.full([len(rows), *(sizes[dim] for dim in variable.dims[1:])], None, object)
    for number, row in enumerate(rows):
        if (value := row.get(variable.name)) is not None:
            values[number] = value
    if variable.dtype == "str":
        return xr.Variable(variable.dims, _texts(values, keep="" if variable.name == "path" else WHITE_SPACE), variable.attributes)
    numbers = np.where(values == None, np.nan, values).astype(variable.dtype)  # noqa: E711  (asked of every element)
    return xr.Variable(variable.dims, numbers, variable.attributes)


def _dataset(entries: Sequence[ScanEntry]) -> xr.Variable:
    """The dataset of each scan; where no entry says it, the participants column of that name; missing is empty."""
    key = DATASET.name
    said = any(key in entry for entry in entries)
    return xr.Variable(
        SCAN, _texts(np.array([(entry if said else entry["columns"]).get(key) for entry in entries], object)), DATASET.attributes
    )


def _participants(entries: Sequence[ScanEntry]) -> dict[str, xr.Variable]:
    """Entities and participants columns on ``scan``."""
    taken = {name.casefold() for name in RESERVED}
    said = any(DATASET.name in entry for entry in entries)
    found: dict[str, xr.Variable] = {}
    for origin, table in (
        ("BIDS entity", [entry["entities"] for entry in entries]),
        ("Participants column", [entry["columns"] for entry in entries]),
    ):
        for column in dict.fromkeys(name for row in table for name in row if said or name != DATASET.name):
            name = _free_name(column, taken)
            taken.add(name.casefold())
            values = _column([row.get(column) for row in table], column)
            found[name] = xr.Variable(SCAN, values, {"long_name": f"{origin} {visible(column)!r}"})
    return found


def _free_name(column: str, taken: set[str]) -> str:
    """A name for a participants column that Zarr can store and no other column has.

    Blanks go too: xarray lists coordinates in one attribute, separated by blanks. The long name keeps what the table says.

    >>> _free_name("status", {"status"}), _free_name("IQ a/b", set()), _free_name(" ", {"column"})
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
