"""Verification: every stored object against the ledger, and the ledger, the index and the table against themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypojax.reason import Reason, RunError, visible
from hypojax.schema import COHORT_ARRAYS
from hypojax.storage import PARTIAL, Location, each, file_digest, keys, names
from hypojax.store.chunks import SCAN_GROUPS, scan_folders
from hypojax.store.evaluations import EVALUATIONS, evaluation_paths, parse_evaluation
from hypojax.store.index import Index, index_path, read_index
from hypojax.store.ledger import LEDGER, ScanRecord, parse_entry, read_records, record_path
from hypojax.store.rebuild import rebuilt_index
from hypojax.store.root import OWN, Root, read_root, skeleton, table_intact, table_statuses
from hypojax.store.sealed import NAME, DamagedDocumentError, scan_key
from hypojax.tables.cells import counted

UNLISTED = "the index of the store does not have it, so that nothing vouches for it"
AGAIN = "run the same command again with --check to write it anew"
DELETE = "delete it, or move it out of the store"


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was written.

    Parameters
    ----------
    scan
        The scan it belongs to; empty for the table and the store as a whole.
    what
        What is wrong, with the object and the next step.
    """

    scan: str
    what: str

    def __str__(self) -> str:
        """The problem as a line for the user."""
        return f"scan {self.scan!r}: {self.what}" if self.scan else self.what


def verify(root: Location) -> tuple[Problem, ...]:
    """Everything in the store at ``root`` that is not as it was written; empty when all is well.

    Reads every object once; nothing is decoded and nothing is changed.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store; ``OTHER_SETTINGS``: another version wrote it.
    """
    if not any(path.exists() for path in (index_path(root), root / NAME, *(root / name for name in OWN))):
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {root}; make one with: hypojax run INPUT OUT")
    try:
        return _all(root, read_index(root), lost="")
    except RunError as error:
        if error.reason is Reason.OTHER_SETTINGS:
            raise
        return _all(root, rebuilt_index(root), lost=str(error))


def _all(root: Location, index: Index | None, *, lost: str) -> tuple[Problem, ...]:
    """Problems of everything, by an index that holds, or was rebuilt because it was ``lost``; None where that failed too."""
    if index is None:
        return (
            Problem("", lost),
            *(Problem(key, UNLISTED) for key in sorted({name for top in (*SCAN_GROUPS, LEDGER) for name in names(root / top)[0]})),
        )
    # Where the index was rebuilt, scans lie where their records have them.
    slots = {record["scan"]: record["slot"] for record in read_records(root, index.ids)} if lost else index.slots
    stored, strays = stored_keys(root, {scan: slots.get(scan, -1) for scan in index.ids})
    first = (Problem("", lost),) if lost else ()
    if index.removing:
        first = (*first, Problem("", f"the removal of {counted(len(index.removing), 'scan')} broke off; run: hypojax repair {root.parent}"))
    parts = (_scans(root, index, stored, whole=not lost), strays, _strays(root), _skeleton(root, index, whole=not lost), _history(root))
    return (*first, *(problem for part in (*parts, _table(root, index, whole=not lost)) for problem in part))


def stored_keys(root: Location, slots: Mapping[str, int]) -> tuple[dict[str, list[str]], list[Problem]]:
    """Scan → keys of all that is stored of it, by the slots of all scans; and what belongs to none of them."""
    homes = {folder: scan for scan, slot in slots.items() for folder in scan_folders(scan, slot)}
    stored: dict[str, list[str]] = {}
    strays: list[Problem] = []
    tops = [*SCAN_GROUPS, *(array.name for array in COHORT_ARRAYS)]
    for top, found in zip(tops, each(root, lambda top: keys(root / top), tops), strict=True):
        depth = 2 if top in SCAN_GROUPS else 3
        for key in found:
            if key.removesuffix(PARTIAL) == NAME:
                continue
            folder = "/".join([top, *key.split("/")[: depth - 1]])
            if (scan := homes.get(folder)) is not None and folder != f"{top}/{key}":
                stored.setdefault(scan, []).append(f"{top}/{key}")
            else:
                owner = key.split("/")[0] if top in SCAN_GROUPS and "/" in key else ""
                strays.append(Problem(owner, f"{top}/{key} belongs to no scan that the index of the store has; {DELETE}"))
    known = {scan_key(scan) for scan in slots}
    strays += [Problem(key, UNLISTED) for key in names(root / LEDGER)[0] if key not in known]
    for key in keys(root / LEDGER):
        folder, _, name = key.partition("/")
        if folder in known and name.removesuffix(PARTIAL) != NAME:
            strays.append(Problem(folder, f"{LEDGER}/{key} is no record; {DELETE}"))
    return stored, strays


def _scans(root: Location, index: Index, stored: Mapping[str, Sequence[str]], *, whole: bool) -> Iterator[Problem]:
    """Problems of every scan, in order."""
    statuses = _statuses(root)

    def of_scan(scan: str) -> tuple[Problem, ...]:
        return tuple(_scan(root, scan, index, stored.get(scan, ()), status=statuses.get(visible(scan), "pending"), whole=whole))

    for found in each(root, of_scan, index.ids):
        yield from found


def _scan(root: Location, scan: str, index: Index, stored: Sequence[str], *, status: str, whole: bool) -> Iterator[Problem]:
    """Problems of one scan."""
    try:
        record = parse_entry(record_path(root, scan).read_bytes(), scan).record
    except (FileNotFoundError, NotADirectoryError):
        record = None
    except OSError as error:
        yield Problem(scan, f"its ledger record cannot be read ({error.strerror}); check permissions and disk")
        return
    except DamagedDocumentError as error:
        yield Problem(scan, f"its ledger record is damaged: {error}; {AGAIN}")
        return
    if record is not None:
        yield from _with_record(root, record, index, stored, whole=whole)
    elif stored:
        yield Problem(scan, f"it is half written ({counted(len(stored), 'object')}, no ledger record); {AGAIN}")
    elif status != "pending":
        yield Problem(scan, f"the table says {status!r} but its ledger record is missing; {AGAIN}")


def _with_record(root: Location, record: ScanRecord, index: Index, stored: Sequence[str], *, whole: bool) -> Iterator[Problem]:
    """Objects of a scan against its record."""
    scan = record["scan"]
    if record["settings_sha256"] != index.settings_sha256:
        yield Problem(scan, "its record was written under other settings than the store's; run the same command again, which does it anew")
    if whole and record["slot"] != index.slots[scan]:
        yield Problem(
            scan, f"its record has it in row {record['slot']}, the index in row {index.slots[scan]}; run: hypojax repair {root.parent}"
        )
    for key, expected in record["files"].items():
        if what := _difference(root / key, expected):
            yield Problem(scan, f"{key} {what}; {AGAIN}")
    for key in sorted(set(stored) - set(record["files"])):
        yield Problem(scan, f"{key} is not in its ledger record (a write that broke off); {AGAIN}")


def _difference(path: Location, expected: str) -> str:
    """How a file differs from what was written; empty when it does not."""
    try:
        return "" if file_digest(path) == expected else "is damaged (its SHA-256 is not the one in the ledger)"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _strays(root: Location) -> Iterator[Problem]:
    """Arrays and groups at the root that are no columns of the table, and files where only folders of scans belong.

    Other files and folders at the root are the user's own: no Zarr reader shows them.
    """
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return
    known = {*OWN, *description.columns, *description.replaced}
    for name in names(root)[0]:
        if name not in known and ((root / name / NAME).exists() or (root / name / "c").is_dir()):
            yield Problem("", f"{name} is an array or group that the table does not have; {DELETE}")
    for name in names(root / LEDGER)[1]:
        if name not in (NAME, NAME + PARTIAL):
            yield Problem("", f"{LEDGER}/{name} belongs to no scan; {DELETE}")


def _skeleton(root: Location, index: Index, *, whole: bool) -> Iterator[Problem]:
    """The documents that are the same in every store of so many scans."""
    for key, expected in skeleton(len(index.scans)).items():
        # Of how many scans a store with a lost index is cannot be known: the arrays' own documents are left to the repair.
        if (whole or key.split("/")[0] in SCAN_GROUPS) and not _is(root / key, expected):
            yield Problem("", f"{key} is damaged or missing; run: hypojax repair {root.parent}")


def _is(path: Location, expected: bytes) -> bool:
    """Whether a file has these bytes."""
    try:
        return path.read_bytes() == expected
    except OSError:
        return False


def _history(root: Location) -> Iterator[Problem]:
    """Records of evaluations against their own digests."""
    for path in evaluation_paths(root):
        if isinstance(what := parse_evaluation(path), str):
            yield Problem("", f"{EVALUATIONS}/{path.parent.name} {what}")


def _table(root: Location, index: Index, *, whole: bool) -> Iterator[Problem]:
    """The table against its own digest, and against the ledger it was made from, where all inputs are known."""
    mend = "run: hypojax export, which writes the table from the ledger"
    try:
        description = read_root(root)
    except DamagedDocumentError as error:
        yield Problem("", f"the table is damaged: {NAME}: {error}; {mend}")
        return
    if not description.columns:
        yield Problem("", f"the table has not been written; {mend}")
    elif not table_intact(root, description):
        yield Problem("", f"the table is damaged; {mend}")
    elif whole and not _fresh(root, description, index):
        yield Problem("", f"the table is older than the ledger; {mend}")


def _fresh(root: Location, description: Root, index: Index) -> bool:
    """Whether the table was made from the ledger as it is now."""
    return bool(description.attributes["ledger_sha256"] == index.ledger_sha256(tuple(read_records(root, index.ids))))


def _statuses(root: Location) -> dict[str, str]:
    """Statuses as the table has them; none when the table does not hold."""
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return {}
    return table_statuses(root) if description.columns and table_intact(root, description) else {}
