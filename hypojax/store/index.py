"""The index of a store: under which settings it was made, and every scan that belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from secrets import token_hex
from typing import Any, Final, NotRequired, TypedDict, cast

from hypojax.reason import Reason, RunError
from hypojax.storage import FencedPath, Location, locate, names, place, real
from hypojax.store.ledger import LEDGER, ScanRecord, ledger_digest, settings_digest
from hypojax.store.sealed import NAME, DamagedDocumentError, group_document, plain, seal, unseal

FORMAT: Final = 2
"""Version of the layout on disk."""

OLDER: Final = "run again into a new OUT folder; the version of hypojax that wrote this one still reads it"
"""What to do with a store of an older layout."""

Column = str | int | float | None

SEEN: Final = ("size", "modified", "changed")
"""What an entry says of the file that was measured."""


class ScanEntry(TypedDict):
    """One input: id, file, BIDS entities, columns of participants tables, dataset, and where a table lists it.

    `size` (bytes) and `modified` (seconds since 1970) are those of the file that was measured, or is to be. Where it is another one now,
    `changed` says so in a sentence.
    """

    scan: str
    path: str
    entities: dict[str, str]
    columns: dict[str, Column]
    dataset: NotRequired[str]
    listed: NotRequired[str]
    size: NotRequired[int]
    modified: NotRequired[float]
    changed: NotRequired[str]


@dataclass(frozen=True)
class Index:
    """Settings, provenance and inputs of a store; it lies in ``ledger/zarr.json``.

    Parameters
    ----------
    settings
        What every scan of the store has in common (configuration, weights); never changes.
    provenance
        What took part (versions, device): text, every value that occurred, separated by ``; ``.
    scans
        Inputs, in order of their slots: the place of a scan in here is its row in the table and in the arrays over all scans.
    removing
        Scans that are being removed; empty but for the time that takes, or where a process died of it.
    removed
        When scans were removed, and how many: which ones nobody knows any more.
    """

    settings: Mapping[str, Any]
    provenance: Mapping[str, str]
    scans: tuple[ScanEntry, ...]
    removing: tuple[str, ...] = ()
    removed: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, ScanEntry]:
        """Scan → its entry, in order."""
        return {entry["scan"]: entry for entry in self.scans}

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Ids of all scans, in order."""
        return tuple(self.by_id)

    @cached_property
    def slots(self) -> Mapping[str, int]:
        """Scan → its slot."""
        return {scan: slot for slot, scan in enumerate(self.ids)}

    @cached_property
    def settings_sha256(self) -> str:
        """Digest of the settings."""
        return settings_digest(self.settings)

    def ledger_sha256(self, records: tuple[ScanRecord, ...]) -> str:
        """Digest of all that a table of these scans is made from."""
        return ledger_digest(records, self.ids)


def index_path(root: Location) -> Location:
    """Where the index of the store at ``root`` lies."""
    return root / LEDGER / NAME


def index_bytes(index: Index, *, writer: str = "") -> bytes:
    """The stored form of an index: a sealed group document, with a name of whoever puts it if need be."""
    by = {"writer": writer} if writer else {}
    attributes = {"format": FORMAT, **by, "settings": index.settings, "provenance": index.provenance, "scans": index.scans}
    removal = {name: value for name, value in (("removing", index.removing), ("removed", index.removed)) if value}
    return seal(group_document(plain({**attributes, **removal})))


def read_index(root: Location) -> Index:
    """The index of the store at ``root``.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store; ``STORE_DAMAGED``: its index is not what was written.
    """
    path = index_path(root)
    try:
        attributes = unseal(path.read_bytes())["attributes"]
    except (FileNotFoundError, NotADirectoryError) as error:
        if names(root / LEDGER)[0]:
            raise RunError(Reason.STORE_DAMAGED, f"{root} is a store whose index is lost; {_mend(root)}") from error
        raise RunError(Reason.NOTHING_FOUND, f"no cohort store at {root}; make one with: hypojax run INPUT OUT") from error
    except OSError as error:
        raise RunError(Reason.UNREADABLE, f"cannot read {path}: {error.strerror}; check its permissions") from error
    except DamagedDocumentError as error:
        raise RunError(Reason.STORE_DAMAGED, f"the index of store {root} is damaged: {error}; {_mend(root)}") from error
    if attributes.get("format") != FORMAT:
        raise other_layout(root, attributes.get("format"))
    return Index(
        settings=attributes["settings"],
        provenance=attributes["provenance"],
        scans=tuple(attributes["scans"]),
        removing=tuple(attributes.get("removing", ())),
        removed=tuple(attributes.get("removed", ())),
    )


def other_layout(root: Location, layout: object) -> RunError:
    """The refusal of a store that another version wrote."""
    older = layout is None or (isinstance(layout, int) and layout < FORMAT)
    advice = OLDER if older else "use a version at least as new as the one that wrote it"
    message = (
        f"store {root} was written by {'an older' if older else 'a newer'} version of hypojax (layout {layout}, this one has {FORMAT})"
    )
    return RunError(Reason.OTHER_SETTINGS, f"{message}; {advice}")


def put_index(root: Location, index: Index) -> None:
    """Place the index. Behind a fence its bytes are never twice the same, so that nothing that saw the one before can replace it.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    place(index_path(root), index_bytes(index, writer=token_hex(8) if isinstance(root, FencedPath) else ""))


def index_of(root: Location) -> Index | None:
    """The index of the store at ``root``; None where there is no store yet."""
    try:
        return read_index(root)
    except RunError as error:
        if error.reason is Reason.NOTHING_FOUND:
            return None
        raise


def _mend(root: Location) -> str:
    """The next step where the index does not hold."""
    return f"run: hypojax repair {root.parent}, which rebuilds it from the records"


def make_index(scans: Sequence[ScanEntry], *, settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> Index:
    """The index of a new store in its stored form: JSON values, scans ordered by id.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN``: two inputs have one id.
    """
    entries: dict[str, ScanEntry] = {}
    for entry in scans:
        same = entries.setdefault(entry["scan"], cast("ScanEntry", plain(entry)))
        if same["path"] != str(entry["path"]):
            raise _duplicate(entry["scan"], same["path"], str(entry["path"]))
    known = {key: str(value) for key, value in plain(provenance).items()}
    return Index(settings=plain(settings), provenance=known, scans=tuple(entries[scan] for scan in sorted(entries)))


def merge(old: Index, new: Index, *, root: Location, recorded: frozenset[str], anew: bool = False) -> Index:
    """The index after adding inputs, those that are new behind those that the store has.

    Parameters
    ----------
    old, new
        What the store has and what a run brings.
    root
        The store, for messages.
    recorded
        Scans with a ledger record: where their file lies elsewhere, or has another size or time, what the index says of it stays as it
        is, for the run to look at what the file holds (`hypojax.execute.inputs`); columns may change, and those not named now are kept.
    anew
        Take the new settings and files where they differ.

    Raises
    ------
    RunError
        ``OTHER_SETTINGS`` with the keys that differ, or ``DUPLICATE_SCAN``: two ids for one file.
    """
    differences = settings_differences(old.settings, new.settings)
    if differences and not anew:
        message = f"store {root} was made with other settings: {'; '.join(differences)}"
        advice = "choose another output folder, run with the same settings, or do all its scans again with --recompute"
        raise RunError(Reason.OTHER_SETTINGS, f"{message}; {advice}")
    entries, owners = dict(old.by_id), _owners(old, new, recorded)
    for entry in new.scans:
        scan, file = entry["scan"], real(locate(entry["path"]))
        before = entries.get(scan, entry)
        same = real(locate(before["path"])) == file
        if scan in recorded and not same and not anew:
            continue
        if scan not in owners.get(file, [scan]):
            raise _renamed(owners[file][0], scan, entry["path"])
        seen: dict[str, Any] = {key: before.get(key) for key in SEEN if key in before and scan in recorded and not anew}
        if all(entry.get(key) == before.get(key) for key in ("size", "modified")):
            seen.pop("changed", None)  # the file that was measured is back
        joint: dict[str, Any] = {**entry, **seen, "columns": {**before["columns"], **entry["columns"]}}
        entries[scan] = cast("ScanEntry", joint) if same else entry
    provenance = {} if differences else dict(old.provenance)
    for key, value in new.provenance.items():
        provenance[key] = joined(provenance.get(key, ""), value)
    order = (*old.ids, *sorted(set(entries) - set(old.by_id)))
    return replace(
        old, settings=new.settings if differences else old.settings, provenance=provenance, scans=tuple(entries[scan] for scan in order)
    )


def relocate(root: Location, entries: Sequence[ScanEntry]) -> Index:
    """Give scans of the store at ``root`` other files: the same images in another place. Columns that are not named now are kept.

    Raises
    ------
    RunError
        ``NOT_WRITABLE`` or ``DISK_FULL``.
    """
    index = read_index(root)
    found = dict(index.by_id)
    for entry in entries:
        new = cast("ScanEntry", plain(entry))
        found[entry["scan"]] = ScanEntry(**{**new, "columns": {**found[entry["scan"]]["columns"], **new["columns"]}})
    made = replace(index, scans=tuple(found.values()))
    put_index(root, made)
    return made


def settings_differences(old: Mapping[str, Any], new: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """Which keys differ and how, one sentence each; nested keys are joined with dots.

    >>> settings_differences({"box": {"mm": 1.0}}, {"box": {"mm": 2.0}})
    ["'box.mm' was 1.0 and is now 2.0"]
    """
    found: list[str] = []
    for key in sorted(set(old) | set(new)):
        name, before, after = f"{prefix}{key}", old.get(key, "absent"), new.get(key, "absent")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += settings_differences(before, after, prefix=f"{name}.")
        elif before != after or (key in old) != (key in new):
            found.append(f"{name!r} was {before!r} and is now {after!r}")
    return found


def _owners(old: Index, new: Index, recorded: frozenset[str]) -> dict[Location, list[str]]:
    """File → scans of the store that stay with it: those that have a record, or that this run does not name."""
    found: dict[Location, list[str]] = {}
    for entry in old.scans:
        if entry["scan"] in recorded or entry["scan"] not in new.by_id:
            found.setdefault(real(locate(entry["path"])), []).append(entry["scan"])
    return found


def _renamed(before: str, now: str, path: str) -> RunError:
    """Two ids for one file, which would be measured and counted twice."""
    message = f"scan {now!r} is file {path}, which the store has as scan {before!r}, and would be counted twice"
    return RunError(Reason.DUPLICATE_SCAN, f"{message}; use a new output folder, or the same inputs as before")


def _duplicate(scan: str, first: str, second: str) -> RunError:
    """Two files for one id."""
    return RunError(
        Reason.DUPLICATE_SCAN,
        f"scan {scan!r} is the id of two files, {first} and {second}; rename one of them, or use another output folder",
    )


def joined(old: str, new: str) -> str:
    """Every value that occurred, each once, in the order of coming."""
    values = [value for value in old.split("; ") if value]
    return "; ".join(values if new in values else [*values, new])
