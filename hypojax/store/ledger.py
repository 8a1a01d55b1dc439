"""The ledger: one record a scan, written last, that says what became of it and what is stored of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NotRequired, TypedDict

from hypojax.reason import Reason
from hypojax.schema import FLAG_TEXT, FLAGGED, REGIONS, SCORED, TABLE, Variable
from hypojax.storage import Location, digest, each
from hypojax.store.sealed import NAME, DamagedDocumentError, encode, group_document, plain, scan_key, seal, unseal

LEDGER: Final = "ledger"
STATUSES: Final = ("done", "failed", "pending")
"""``pending`` in a record: the voxels are stored, the segmentation is not."""

OWN: Final = ("status", "reason", "message", "path", "duplicate_of", FLAGGED.name)
"""Columns of the table that a record, or the index, holds by themselves or as text, or that several scans together tell."""

LENGTHS: Final = {"axis": 3, "direction": 3, "world": 4, "voxel": 4}
"""Lengths of the dims of a row's columns."""

QUANTITIES: Final = ("volume_mm3", "volume_hard_mm3", "uncertainty_mm3")
SCORE: Final = "quality_score"


class RegionEntry(TypedDict):
    """One region of one scan: volumes (mm³) or the reason why there are none; a quality score for those of `schema.SCORED`."""

    volume_mm3: float | None
    volume_hard_mm3: float | None
    uncertainty_mm3: float | None
    missing_reason: str
    quality_score: NotRequired[float | None]


class ScanRecord(TypedDict):
    """What the ledger holds of one scan.

    ``slot`` is its row in the arrays over all scans. ``row`` has the other columns of `schema.TABLE` by name; a value that is missing is
    null. ``files`` maps the key of every stored object (below the store) to its SHA-256. ``settings_sha256`` says under which settings.
    """

    scan: str
    slot: int
    status: str
    reason: str
    message: str
    row: dict[str, Any]
    regions: dict[str, RegionEntry]
    files: dict[str, str]
    settings_sha256: str


def settings_digest(settings: Mapping[str, Any]) -> str:
    """SHA-256 of settings, whatever the order of their keys.

    >>> settings_digest({"a": 1, "b": 2}) == settings_digest({"b": 2, "a": 1})
    True
    """
    return digest(json.dumps(plain(settings), sort_keys=True).encode())


def row_of_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as a record holds it, checked against `schema.TABLE`.

    Parameters
    ----------
    row
        Column → value, a list along ``axis`` or ``direction``, lists along ``world`` and ``voxel``; flags may be a
        sequence. NaN and None are missing.

    Raises
    ------
    ValueError
        A column is unknown, or a value does not fit it.

    Examples
    --------
    >>> row_of_record({"flags": ("noisy", "cut_off"), "seconds": float("nan")})
    {'flags': 'noisy cut_off', 'seconds': None}
    """
    columns = {variable.name: variable for variable in (*TABLE, FLAG_TEXT) if variable.name not in OWN and "region" not in variable.dims}
    if unknown := sorted(set(row) - set(columns)):
        raise ValueError(f"unknown columns {unknown}; schema.TABLE has them all")
    return {name: _cell(columns[name], value) for name, value in plain(row).items()}


def _cell(variable: Variable, value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """One value of a row, as its column wants it."""
    if value is None:
        return None
    if variable.dtype == "str":
        return value if isinstance(value, str) else " ".join(value)
    convert = float if variable.dtype.startswith("float") else int
    if len(variable.dims) == 1:
        return convert(value)
    if len(value) != LENGTHS[variable.dims[1]]:
        raise ValueError(f"column {variable.name!r} needs {LENGTHS[variable.dims[1]]} values, not {value!r}")
    return [_cell(replace(variable, dims=variable.dims[1:]), item) for item in value]


def regions_of_record(regions: Mapping[str, Mapping[str, Any]], *, status: str) -> dict[str, RegionEntry]:
    """Regions as a record holds them: where there is a reason there is no number.

    Parameters
    ----------
    regions
        Region → volumes (mm³; NaN or None where missing) and ``missing_reason``.
    status
        Status of the scan; a scan that is done needs every region.

    Raises
    ------
    ValueError
        A region is unknown, or a finished scan has a region with neither a volume nor a reason.

    Examples
    --------
    >>> regions_of_record({"icv": {"volume_mm3": 7.0, "missing_reason": Reason.SKULL_STRIPPED}}, status="failed")["icv"]["volume_mm3"]
    """
    if unknown := sorted(set(regions) - set(REGIONS)):
        raise ValueError(f"unknown regions {unknown}; schema.REGIONS has them all")
    entries: dict[str, RegionEntry] = {}
    for name in (name for name in REGIONS if name in regions):
        reason = str(regions[name].get("missing_reason", Reason.NONE))
        quantities = (*QUANTITIES, SCORE) if name in SCORED else QUANTITIES
        known = {quantity: None if reason else regions[name].get(quantity) for quantity in quantities}
        entries[name] = plain({**known, "missing_reason": reason})
    for name in REGIONS if status == "done" else ():
        if name not in entries or (entries[name]["volume_mm3"] is None and not entries[name]["missing_reason"]):
            raise ValueError(f"region {name!r} of a finished scan has neither a volume nor a reason why it is missing")
    return entries


@dataclass(frozen=True)
class LedgerEntry:
    """What the ledger has of one scan: its record, an in-flight marker, or both.

    Parameters
    ----------
    record
        Says what became of the scan; None where nothing that is stored of it counts.
    begun
        How often the scan was begun since its last complete record.
    marker
        In-flight marker: names the process that is at work on it, or that died of it; empty where none is.
    origin
        What the index said when the record was written: ``input``, ``settings`` and ``provenance``. The index is rebuilt from that.
    derivatives
        Key of every file of the scan below the derivatives folder → its SHA-256.
    """

    record: ScanRecord | None = None
    begun: int = 0
    marker: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    derivatives: Mapping[str, str] = field(default_factory=dict)


def record_path(root: Location, scan: str) -> Location:
    """Where the record of a scan lies in the store at ``root``."""
    return root / LEDGER / scan_key(scan) / NAME


def record_bytes(record: ScanRecord) -> bytes:
    """The stored form of a record: an empty Zarr group whose sealed attributes are the record."""
    return seal(group_document(record))


def entry_bytes(entry: LedgerEntry, scan: str) -> bytes:
    """The stored form of an entry: that of its record, with the in-flight marker beside it."""
    own: dict[str, Any] = {**entry.record} if entry.record is not None else {"scan": scan}
    beside = {"origin": entry.origin, "derivatives": entry.derivatives}
    marker = {"begun": entry.begun, "marker": entry.marker} if entry.marker else {}
    return seal(group_document({**own, **{name: value for name, value in beside.items() if value}, **marker}))


def read_record(root: Location, scan: str) -> ScanRecord | None:
    """The record of a scan; None where there is none that holds.

    A damaged record counts as none, so that the scan is done again; `verify` names it.
    """
    try:
        return parse_entry(record_path(root, scan).read_bytes(), scan).record
    except (OSError, DamagedDocumentError):
        return None


def parse_entry(data: bytes, scan: str) -> LedgerEntry:
    """The entry in these bytes.

    Raises
    ------
    DamagedDocumentError
        The bytes are not those of an entry of ``scan``.
    """
    attributes = unseal(data)["attributes"]
    whole = set(ScanRecord.__annotations__) <= set(attributes)
    if attributes.get("scan") != scan or not (whole or "marker" in attributes):
        raise DamagedDocumentError(f"it is not the record of scan {scan!r}")
    return LedgerEntry(
        record=_record(attributes) if whole else None,
        begun=attributes.get("begun", 0),
        marker=attributes.get("marker", ""),
        origin=attributes.get("origin", {}),
        derivatives=attributes.get("derivatives", {}),
    )


def _record(attributes: Mapping[str, Any]) -> ScanRecord:
    """The record among the attributes of an entry."""
    return ScanRecord(
        scan=attributes["scan"],
        slot=attributes["slot"],
        status=attributes["status"],
        reason=attributes["reason"],
        message=attributes["message"],
        row=attributes["row"],
        regions=attributes["regions"],
        files=attributes["files"],
        settings_sha256=attributes["settings_sha256"],
    )


def read_records(root: Location, scans: tuple[str, ...]) -> Iterator[ScanRecord]:
    """The records that hold, in the order of ``scans``."""
    for record in each(root, lambda scan: read_record(root, scan), scans):
        if record is not None:
            yield record


def ledger_digest(records: tuple[ScanRecord, ...], scans: tuple[str, ...]) -> str:
    """SHA-256 over every record and the list of scans: what a table was made from."""
    return digest(encode({"scans": list(scans), "records": [digest(record_bytes(record)) for record in records]}))
