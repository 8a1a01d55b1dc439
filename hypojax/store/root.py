"""The root of a store: the table, always written whole, from the ledger, and the arrays over all scans beside it.

What `xarray.open_zarr` shows is what the root document says: it goes last and carries the digest of the table. While a table is being
replaced the root shows nothing, so that a crash leaves no table rather than columns of two. While scans are added it still shows the
table and the rows of the arrays that it was written with.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from zarr.abc.buffer import Buffer
from zarr.codecs import ZstdCodec
from zarr.storage import MemoryStore

from hypojax.reason import Reason, RunError
from hypojax.schema import COHORT_ARRAYS
from hypojax.storage import (
    PARTIAL,
    Location,
    Objects,
    digest,
    digests,
    each,
    fetch,
    file_digest,
    keys,
    names,
    place,
    place_all,
    prune,
    remove,
    writing,
)
from hypojax.store.chunks import SCAN_GROUPS, memory_store, model_coordinates, open_array, templates
from hypojax.store.evaluations import EVALUATIONS
from hypojax.store.index import FORMAT, Index, other_layout
from hypojax.store.ledger import LEDGER
from hypojax.store.sealed import NAME, DamagedDocumentError, encode, group_document, refuse_other_versions, seal, unseal

OWN: Final = frozenset({*SCAN_GROUPS, *(array.name for array in COHORT_ARRAYS), LEDGER, EVALUATIONS})
"""Folders of a store that hold no column of the table."""

SHARED: Final = encode(group_document({}))
"""Document of a group that only holds other groups or arrays."""

LAYOUT: Final = "layout"
COLUMN: Final = re.compile(r"(?!__|\.)[^/\\]+")
"""Names that can be an array of the root group."""

REPLACED: Final = "replaced_columns"
EXPORTS: Final = "exports_sha256"

REMOVED: Final = "removed_scans"
"""Attribute with dates and counts of removals, as JSON text; the index is rebuilt from it where that is lost."""

COMMENT: Final = (
    "One row a scan, one column a region; posterior, image and head have the same rows. Voxels and label maps of a scan are arrays of "
    "their own: zarr.open_array('<this store>/native/<scan>'), and likewise labels. "
    "The ledger holds one record a scan with the SHA-256 of all that is stored of it."
)


@dataclass(frozen=True)
class Root:
    """What the root document says.

    Parameters
    ----------
    columns
        Arrays of the table; none while it is being written.
    replaced
        Arrays of the table before, while it is being replaced.
    attributes
        Attributes of the root group.
    """

    columns: tuple[str, ...]
    replaced: tuple[str, ...]
    attributes: Mapping[str, Any]


def table_objects(table: xr.Dataset) -> Objects:
    """The table as Zarr v3 objects, one chunk a column, checksummed, in the order of the table's columns.

    Raises
    ------
    ValueError
        A column has a name that cannot stand at the root of a store.
    """
    if wrong := [str(name) for name in table.variables if not COLUMN.fullmatch(str(name)) or name in {*OWN, NAME}]:
        raise ValueError(f"columns {wrong} cannot be arrays of a store; cohort.build gives names that can")
    memory: dict[str, Buffer] = {}
    codec = ZstdCodec(level=3, checksum=True)
    bare = table.assign_coords(model_coordinates()).drop_encoding().drop_attrs(deep=False)
    bare.to_zarr(
        MemoryStore(memory), zarr_format=3, consolidated=False, encoding={name: {"compressors": (codec,)} for name in bare.variables}
    )
    order = {str(name): number for number, name in enumerate((*bare.coords, *bare.data_vars))}
    return {key: memory[key].to_bytes() for key in sorted(memory, key=lambda key: (order.get(key.split("/")[0], -1), key))}


def skeleton(count: int) -> Objects:
    """Documents that are the same in every store of so many scans, by key: groups, and templates of the arrays over all scans."""
    return {**{f"{group}/{NAME}": SHARED for group in SCAN_GROUPS}, **templates(count)}


def root_bytes(
    objects: Objects | None, *, attributes: Mapping[str, Any], index: Index, ledger_sha256: str, exports: Mapping[str, str] | None = None
) -> bytes:
    """The sealed root document.

    Parameters
    ----------
    objects
        The table; None while there is none.
    attributes
        Attributes of the table itself.
    index
        Settings (stored as JSON text, which netCDF can hold too), provenance and removals.
    ledger_sha256
        Digest of the records and inputs that the table was made from.
    exports
        Name of each file beside the store that holds the same table → its SHA-256; stored as JSON text.
    """
    own = json.loads(objects[NAME])["attributes"] if objects is not None else {}
    columns = {key: data for key, data in (objects or {}).items() if key != NAME}
    shown = {**columns, **templates(json.loads(objects[f"scan/{NAME}"])["shape"][0])} if objects is not None else {}
    merged = {
        "title": "Hypothalamus and intracranial volumes of a cohort of T1-weighted scans",
        "comment": COMMENT,
        **own,
        **attributes,
        **index.provenance,
        "settings": json.dumps(index.settings),
        LAYOUT: FORMAT,
        "ledger_sha256": ledger_sha256,
        **({EXPORTS: json.dumps(exports, sort_keys=True)} if exports else {}),
        **({REMOVED: json.dumps(index.removed)} if index.removed else {}),
        "table_sha256": _table_digest(digests(columns)),
    }
    return seal(group_document(merged, arrays=shown))


def write_table(root: Location, table: xr.Dataset, *, index: Index, ledger_sha256: str, exports: Mapping[str, str] | None = None) -> None:
    """Replace the table; nothing is touched where it is there already.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    objects = table_objects(table)
    document = root_bytes(objects, attributes=table.attrs, index=index, ledger_sha256=ledger_sha256, exports=exports)
    if _stands(root, document):
        return
    columns = {key: data for key, data in objects.items() if key != NAME}
    before = hide_table(root, index=index)
    for name, found in zip(before, each(root, lambda name: keys(root / name), before), strict=True):
        # A column of nothing but empty values has no chunk, and that of the table before would fill it.
        if {f"{name}/{key}" for key in found} - set(columns):
            remove(root / name)
    place_all(root, columns)
    prune(root, sorted({key.split("/")[0] for key in columns}), keep=columns)
    place(root / NAME, document)


def write_empty_table(root: Location, *, index: Index) -> None:
    """The root of a new store.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    place(root / NAME, root_bytes(None, attributes={}, index=index, ledger_sha256=""))


def hide_table(root: Location, *, index: Index) -> list[str]:
    """Let the root show nothing, while the table is replaced or scans are removed; gives the columns that stood there.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    before = _columns_before(root)
    place(root / NAME, root_bytes(None, attributes={REPLACED: before}, index=index, ledger_sha256=""))
    return before


def read_root(root: Location) -> Root:
    """What the root document says.

    Raises
    ------
    DamagedDocumentError
        It is missing or not what was written.
    """
    try:
        document = unseal((root / NAME).read_bytes())
    except OSError as error:
        raise DamagedDocumentError(f"it cannot be read ({error.strerror})") from error
    refuse_other_versions(document)
    attributes = document["attributes"]
    columns = tuple(name for name in document.get("consolidated_metadata", {}).get("metadata", ()) if name not in OWN)
    return Root(columns=columns, replaced=tuple(attributes.get(REPLACED, ())), attributes=attributes)


def table_intact(root: Location, description: Root) -> bool:
    """Whether every object of the table is what was written."""
    found = _column_keys(root, description)
    digested = dict(zip(found, each(root, lambda key: file_digest(root / key), found), strict=True))
    return _table_digest(digested) == str(description.attributes["table_sha256"])


def check_table(root: Location) -> None:
    """Refuse a table that is not there or not as it was written (a missing chunk would read as missing volumes).

    Raises
    ------
    RunError
        ``NOTHING_FOUND`` or ``STORE_DAMAGED``.
    """
    if not (root / NAME).exists():
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {root}; make one with: hypojax run INPUT OUT")
    try:
        description = read_root(root)
    except DamagedDocumentError as error:
        raise RunError(Reason.STORE_DAMAGED, f"the table of {root} is damaged: {NAME}: {error}; run: hypojax export") from error
    if description.attributes.get(LAYOUT) != FORMAT:
        raise other_layout(root, description.attributes.get(LAYOUT, 1))
    if not description.columns:
        raise RunError(Reason.NOTHING_FOUND, f"store {root} has no table yet; run: hypojax export")
    if not table_intact(root, description):
        raise RunError(Reason.STORE_DAMAGED, f"the table of {root} is damaged; run: hypojax export, which writes it from the ledger")


def open_table(root: Location) -> xr.Dataset:
    """The table at the root: fetched whole; of version 3 as in `open_array`."""
    found = _column_keys(root, read_root(root))
    shown = xr.open_zarr(memory_store(fetch(root, (NAME, *found))), chunks=None, zarr_format=3)
    return shown.drop_vars([*(array.name for array in COHORT_ARRAYS), *model_coordinates()])


def table_statuses(root: Location) -> dict[str, str]:
    """Scan → status as an intact table has it."""
    scans, statuses = (np.asarray(open_array(root / name, keys(root / name))[...]) for name in ("scan", "status"))
    return {str(scan): str(status) for scan, status in zip(scans, statuses, strict=True)}


def _column_keys(root: Location, description: Root) -> list[str]:
    """Keys of all objects of the table, in order."""
    columns = each(root, lambda name: [f"{name}/{key}" for key in keys(root / name)], description.columns)
    return sorted(key for column in columns for key in column)


def _stands(root: Location, document: bytes) -> bool:
    """Whether this very table is on the disk, whole."""
    try:
        return (root / NAME).read_bytes() == document and table_intact(root, read_root(root))
    except (OSError, DamagedDocumentError):
        return False


def _columns_before(root: Location) -> list[str]:
    """Columns of the table that is there, or of the one that was being replaced when a run broke off."""
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return []
    # They are removed: a document from elsewhere must not name what lies outside, or scans.
    return sorted(name for name in {*description.columns, *description.replaced} - OWN if COLUMN.fullmatch(name))


def _table_digest(files: Mapping[str, str]) -> str:
    """One digest for all objects of a table."""
    return digest(encode(files))


def refuse_foreign(root: Location) -> None:
    """Refuse a folder with something else in it; what a broken-off creation leaves is fine."""
    if (root / "scans" / NAME).exists():
        raise other_layout(root, 1)
    known = {*OWN, NAME, NAME + PARTIAL}
    with writing(root):
        folders, files = names(root)
        foreign = sorted({*folders, *files} - known)
        nested = [inner for folder in folders if folder in known for inner in names(root / folder)[0]]
    if foreign or nested:
        message = f"{root} holds {(foreign or nested)[0]!r}: it is no cohort store, or one whose index is lost"
        raise RunError(Reason.NOT_WRITABLE, f"{message}; choose another output folder")
