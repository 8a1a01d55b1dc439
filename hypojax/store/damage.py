"""Verification: every stored object against the ledger, and the ledger, the index and the table against themselves."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hypojax.reason import Reason, RunError, visible
from hypojax.storage import PARTIAL, Location, each, file_digest, keys, names
from hypojax.store.evaluations import EVALUATIONS, evaluation_paths, parse_evaluation
from hypojax.store.index import Index, index_path, read_index
from hypojax.store.ledger import LEDGER, ScanRecord, parse_entry, read_records, record_path
from hypojax.store.rebuild import rebuilt_index
from hypojax.store.root import SCANS, Root, read_root, table_intact, table_statuses
from hypojax.store.sealed import NAME, DamagedDocumentError, encode, group_document, scan_key

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
        ``NOTHING_FOUND``: there is no store.
    """
    if not any(path.exists() for path in (index_path(root), root / NAME, root / LEDGER, root / SCANS)):
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {root}; make one with: hypojax run INPUT OUT")
    try:
        index = read_index(root)
    except RunError as error:
        rebuilt = rebuilt_index(root)
        if rebuilt is None:
            return (Problem("", str(error)), *_unlisted(root, None))
        return (Problem("", str(error)), *_all(root, rebuilt, whole=False))
    return _all(root, index)


def _all(root: Location, index: Index, *, whole: bool = True) -> tuple[Problem, ...]:
    """Problems of everything but the index, which is ``whole`` or was rebuilt from the records."""
    parts = (_scans(root, index), _unlisted(root, index), _strays(root), _groups(root), _history(root), _table(root, index, whole=whole))
    return tuple(problem for part in parts for problem in part)


def check_documents(folder: Location, *, files: Mapping[str, str], groups: Sequence[str]) -> None:
    """Hold the documents of a scan's groups (geometry, scaling, types of arrays) against the digests in its record.

    Parameters
    ----------
    folder
        Folder of the scan.
    files
        Key below it → SHA-256, as the ledger record has it.
    groups
        Names of the groups that are about to be read.

    Raises
    ------
    DamagedDocumentError
        A document is not as it was written, or no record speaks of it.
    """
    for group in groups:
        documents = [key for key in files if key.startswith(f"{group}/") and key.endswith(f"/{NAME}")]
        if f"{group}/{NAME}" not in documents:
            raise DamagedDocumentError(f"its ledger record has no {group}/{NAME}")
        for key in documents:
            if what := _difference(folder / key, files[key]):
                raise DamagedDocumentError(f"{key} {what}")


def _scans(root: Location, index: Index) -> Iterator[Problem]:
    """Problems of each scan, in order."""
    statuses = _statuses(root)
    for problems in each(root, lambda scan: tuple(_scan(root, index, scan, statuses.get(visible(scan), "pending"))), index.ids):
        yield from problems


def _scan(root: Location, index: Index, scan: str, status: str) -> Iterator[Problem]:
    """Problems of one scan, to which the table gives ``status``."""
    for key in keys(record_path(root, scan).parent):
        if key not in (NAME, NAME + PARTIAL):
            yield Problem(scan, f"{LEDGER}/{scan_key(scan)}/{key} is no part of its ledger record; {DELETE}")
    try:
        record = parse_entry(record_path(root, scan).read_bytes(), scan).record
    except FileNotFoundError:
        yield from _without_record(root, scan, status)
    except OSError as error:
        yield Problem(scan, f"its ledger record cannot be read ({error.strerror}); check permissions and disk")
    except DamagedDocumentError as error:
        yield Problem(scan, f"its ledger record is damaged: {error}; {AGAIN}")
    else:
        yield from _with_record(root, record, index) if record is not None else _without_record(root, scan, status)


def _without_record(root: Location, scan: str, status: str) -> Iterator[Problem]:
    """A scan without a record: untouched, broken off half-way, or robbed of its record."""
    if objects := keys(root / SCANS / scan_key(scan)):
        yield Problem(scan, f"it is half written ({len(objects)} objects, no ledger record); {AGAIN}")
    elif status != "pending":
        yield Problem(scan, f"the table says {status!r} but its ledger record is missing; {AGAIN}")


def _with_record(root: Location, record: ScanRecord, index: Index) -> Iterator[Problem]:
    """Objects of a scan against its record."""
    scan, folder = record["scan"], root / SCANS / scan_key(record["scan"])
    if record["settings_sha256"] != index.settings_sha256:
        yield Problem(scan, "its record was written under other settings than the store's; run the same command again, which does it anew")
    for key, expected in record["files"].items():
        if what := _difference(folder / key, expected):
            yield Problem(scan, f"{key} {what}; {AGAIN}")
    for key in sorted(set(keys(folder)) - set(record["files"])):
        yield Problem(scan, f"{key} is not in its ledger record (a write that broke off); {AGAIN}")


def _difference(path: Location, expected: str) -> str:
    """How a file differs from what was written; empty when it does not."""
    try:
        return "" if file_digest(path) == expected else "is damaged (its SHA-256 is not the one in the ledger)"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _unlisted(root: Location, index: Index | None) -> Iterator[Problem]:
    """Folders of scans that the index does not have (all of them when the index is lost)."""
    known = {scan_key(scan) for scan in index.ids} if index else set()
    folders = {folder for name in (SCANS, LEDGER) for folder in names(root / name)[0]}
    for key in sorted(folders - known):
        yield Problem(key, "the index of the store does not have it, so that nothing vouches for it")


def _strays(root: Location) -> Iterator[Problem]:
    """Arrays and groups at the root that are no columns of the table, and files where only folders of scans belong.

    Other files and folders at the root are the user's own: no Zarr reader shows them.
    """
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return
    known = {SCANS, LEDGER, EVALUATIONS, *description.columns, *description.replaced}
    for name in names(root)[0]:
        if name not in known and ((root / name / NAME).exists() or (root / name / "c").is_dir()):
            yield Problem("", f"{name} is an array or group that the table does not have; {DELETE}")
    for folder in (SCANS, LEDGER):
        for name in names(root / folder)[1]:
            if name not in (NAME, NAME + PARTIAL):
                yield Problem("", f"{folder}/{name} belongs to no scan; {DELETE}")


def _groups(root: Location) -> Iterator[Problem]:
    """The one group document that is the same in every store."""
    path = root / SCANS / NAME
    if not path.is_file() or path.read_bytes() != encode(group_document({})):
        yield Problem("", f"{SCANS}/{NAME} is damaged or missing; {AGAIN}")


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
    """Whether the table was made from the ledger as it stands."""
    return bool(description.attributes["ledger_sha256"] == index.ledger_sha256(tuple(read_records(root, index.ids))))


def _statuses(root: Location) -> dict[str, str]:
    """Statuses as the table has them; none when the table does not hold."""
    try:
        description = read_root(root)
    except DamagedDocumentError:
        return {}
    return table_statuses(root) if description.columns and table_intact(root, description) else {}
