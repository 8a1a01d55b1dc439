"""Inputs against those that a store has: known files keep their ids; files that moved, were replaced or changed are noticed and said."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from hypojax.execute.lock import Say, table_lock
from hypojax.execute.outcome import ScanResult, refusal
from hypojax.execute.output import STORE, entry_of, refuse_raw
from hypojax.execute.readahead import overlapped, threads_for
from hypojax.reason import HypojaxError, Reason, RunError, ScanError, visible
from hypojax.scans import Discovery, Image, Scan, discover, read
from hypojax.scans.found import free_name, unique
from hypojax.storage import Location, Place, inside, locate, locate_all, real
from hypojax.store import CohortStore, Native, ScanEntry, ScanRecord, index_of
from hypojax.store.index import relocate
from hypojax.tables.cells import counted

SAME: Final = "same"
"""The image that the store has."""

AGAIN: Final = "again"
"""A scan that failed, or that counts for nothing: nothing is lost where its new file is taken."""

CHANGED: Final = "changed"
"""Another image in the place of the one that was measured."""

NAMED: Final = 5
"""Scans that a note names; of the rest it says how many they are."""


def find(
    inputs: Place | Iterable[Place], *, out: Location, dataset: str = "", strict_tables: bool = False, exclude: Path | None = None
) -> Discovery:
    """What the inputs hold, without what an earlier run wrote into ``out``, under the names that the store there knows.

    ``dataset`` is the name of the dataset of all scans; that of its folder when empty.
    ``strict_tables`` refuses tables of people that are not as they should be.
    ``exclude`` is a text file of ids or files of scans that are left out, one a line.

    Raises
    ------
    RunError
        Nothing found, two files with one id, or ``out`` is itself a folder of scans.
    """
    places = locate_all(inputs)
    refuse_raw(out)
    found = discover(places, dataset=dataset, strict_tables=strict_tables)
    own = real(out)
    foreign = tuple(scan for scan in found.scans if not inside(real(scan.path), own))
    if not foreign:
        message = f"every image found lies in the output folder {out} ({len(found.scans)} in all); name the folder of the scans as INPUT"
        raise RunError(Reason.NOTHING_FOUND, message)
    index = index_of(out / STORE)
    adopted = adopt(replace(found, scans=foreign), index.scans if index else ())
    chosen = without(adopted, exclude)
    if index and (gone := without_file(index.scans, {scan.id for scan in adopted.scans})):
        have = counted(len(gone), "scan no longer has its input file", many="scans no longer have their input files")
        keeps = f"in {out} {have} ({first_of(gone)}): the table keeps what was measured; hypojax remove takes scans out"
        chosen = replace(chosen, notes=(*chosen.notes, keeps))
    new = [scan for scan in chosen.scans if scan.id not in index.by_id] if index and index.removed else []
    if not new:
        return chosen
    said = f"{counted(len(new), 'scan is', many='scans are')} new here ({named(new)}), and scans were removed from {out} before"
    return replace(
        chosen, notes=(*chosen.notes, f"{said}: if they are the same, remove them again, and name their files in a text file for --exclude")
    )


def without_file(known: Iterable[ScanEntry], found: Collection[str]) -> list[str]:
    """Ids of scans of a store that were not found again and whose file is gone; of buckets none, which are not asked file by file."""
    places = {entry["scan"]: locate(entry["path"]) for entry in known if entry["scan"] not in found}
    return [scan for scan, place in places.items() if isinstance(place, Path) and not _is_there(place) and not place.is_symlink()]


def without(found: Discovery, exclude: Path | None) -> Discovery:
    """What was found, without the scans that a text file, if any, names by their ids or files, one a line; ``#`` begins a comment.

    Raises
    ------
    RunError
        ``USAGE``: the file cannot be read; ``NOTHING_FOUND``: it names all scans.
    """
    if exclude is None:
        return found
    try:
        lines = [line.strip() for line in exclude.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            Reason.USAGE, f"{exclude} cannot be read ({error}); --exclude names a text file of ids or files, one a line"
        ) from error
    named = [line for line in lines if line and not line.startswith("#")]
    files = {line: real(locate(line)) for line in named if "/" in line or "." in line}
    places = {real(scan.path): scan for scan in found.scans}
    left = {scan.id for scan in found.scans} & set(named) | {places[place].id for place in files.values() if place in places}
    kept = tuple(scan for scan in found.scans if scan.id not in left)
    if not kept:
        raise RunError(Reason.NOTHING_FOUND, f"every scan found is named in {exclude} ({len(found.scans)} in all); nothing is left to do")
    said = [f"{counted(len(found.scans) - len(kept), 'scan')} left out, as {exclude} says"]
    if unmet := [line for line in dict.fromkeys(named) if line not in left and files.get(line) not in places]:
        more = f" and {len(unmet) - NAMED} more" if len(unmet) > NAMED else ""
        said.append(f"no scan found has the id or file that {exclude} names in {', '.join(map(repr, unmet[:NAMED]))}{more}: check them")
    return replace(found, scans=kept, notes=(*found.notes, *said))


@dataclass(frozen=True)
class ComparedInputs:
    """What became of scans whose files are not what they were.

    Parameters
    ----------
    store
        The store, whose index knows the new files of those that are the same images.
    refused
        Scan → why it was left alone, where another image lies elsewhere under its id.
    notes
        What was found, in sentences.
    """

    store: CohortStore
    refused: Mapping[str, ScanResult] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def compare_known(store: CohortStore, scans: Sequence[Scan], *, out: Location, say: Say, recompute_changed: bool = False) -> ComparedInputs:
    """Look at scans whose files lie elsewhere than before, or have another size or time: whether they hold the images that were measured.

    The same image is taken from where it lies now. Another image in the same place is never measured silently, since that would replace a
    number that may be published, nor passed over silently: the run says which scans they are, and so does the table in their notes.

    Parameters
    ----------
    store
        The store, with the scans among its inputs.
    scans
        Scans as they were found now, of which this run does some or all.
    out
        Output folder.
    say
        Called with what was found.
    recompute_changed
        Measure other images in the place of those that were measured.
    """
    known = store.index.by_id
    moved = [scan for scan in scans if real(locate(known[scan.id]["path"])) != real(scan.path)]
    elsewhere = {scan.id for scan in moved}
    touched = [scan for scan in scans if scan.id not in elsewhere and is_touched(known[scan.id], scan)]
    if not moved and not touched:
        return ComparedInputs(store)
    count = counted(len(moved) + len(touched), "input file lies", many="input files lie")
    say(f"{count} elsewhere than before, or with another date or size: comparing contents")
    threads = threads_for()
    with closing(overlapped([*moved, *touched], lambda scan: compare(store, scan), depth=threads, threads=threads)) as found:
        verdicts = dict(zip((scan.id for scan in (*moved, *touched)), found, strict=True))
    refused = {scan: verdict for scan, verdict in verdicts.items() if isinstance(verdict, ScanResult)}
    changed = [scan for scan in touched if verdicts[scan.id] == CHANGED]
    notes = tuple(found_out(store, moved, touched, verdicts, again=recompute_changed))
    for sentence in notes:
        say(sentence)
    kept = [] if recompute_changed else changed
    left = {*refused, *(scan.id for scan in kept)}
    entries = [entry_of(scan) for scan in (*moved, *touched) if scan.id not in left]
    for entry in entries:
        if verdicts[entry["scan"]] != SAME:
            store.withdraw(entry["scan"])
    entries += [ScanEntry(**{**known[scan.id], "changed": changed_note(known[scan.id], scan)}) for scan in kept]
    with table_lock(out) as common:
        index = relocate(common / STORE, entries)
    return ComparedInputs(CohortStore(store.root, index=index), refused, notes)


def found_out(
    store: CohortStore, moved: Sequence[Scan], touched: Sequence[Scan], verdicts: Mapping[str, str | ScanResult], *, again: bool
) -> Iterator[str]:
    """What to say of scans whose files are not what they were."""
    if moved:
        example = f"{moved[0].id}: {moved[0].path}, before {store.index.by_id[moved[0].id]['path']}"
        same = sum(verdicts[scan.id] == SAME for scan in moved)
        lie, are = counted(len(moved), "scan lies", many="scans lie"), counted(same, "is the same image", many="are the same images")
        yield f"{lie} elsewhere than before ({example}); of these {are}, and kept"
    if touched:
        have = counted(len(touched), "input file has", many="input files have")
        yield f"{have} another date or size than before ({named(touched)}): contents were compared"
    if changed := [scan for scan in touched if verdicts[scan.id] == CHANGED]:
        what = "measured again" if again else "the table keeps the former results; --recompute-changed measures again"
        yield f"{counted(len(changed), 'input file has', many='input files have')} changed since the measurement ({named(changed)}): {what}"
    yield from (f"left alone: {verdict.message}" for verdict in verdicts.values() if isinstance(verdict, ScanResult))


def is_touched(entry: ScanEntry, scan: Scan) -> bool:
    """Whether the file of a scan has another size or time than the index says; never where either could not be asked."""
    return bool(scan.size and "size" in entry and (entry["size"], entry["modified"]) != (scan.size, scan.modified))


def named(scans: Sequence[Scan]) -> str:
    """Ids of the first scans, and how many more there are."""
    return first_of([scan.id for scan in scans])


def first_of(ids: Sequence[str]) -> str:
    """The first ids, and how many more there are."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(map(visible, ids[:NAMED])) + more


def changed_note(entry: ScanEntry, scan: Scan) -> str:
    """What the table says of a scan whose input file is no longer the one that was measured."""

    def file(size: int, modified: float) -> str:
        return f"{size} bytes of {datetime.fromtimestamp(modified, UTC):%Y-%m-%d %H:%M:%S} UTC"

    measured, now = file(entry["size"], entry["modified"]), file(scan.size, scan.modified)
    return f"The input file has changed since it was measured ({measured}, now {now}): --recompute-changed measures it again."


def compare(store: CohortStore, scan: Scan) -> str | ScanResult:
    """Whether a scan is the one that the store has; the refusal where another lies elsewhere under its id, or it cannot be told."""
    record = store.record(scan.id)
    if record is None or not _holds_image(record):
        return AGAIN
    before = store.index.by_id[scan.id]["path"]
    here = real(locate(before)) == real(scan.path)
    try:
        if same_image(read(scan.id, scan.path), store.read_native(scan.id)):
            return SAME
    except ScanError as error:
        if record["status"] == "done" and not here:
            return refusal(scan.id, error, seconds=0.0)
    if record["status"] == "failed" or (here and record["status"] == "pending"):
        return AGAIN
    if here:
        return CHANGED
    message = f"{scan.path} is another image than {before}, which the store has under this id, and whose results are kept"
    advice = "give it another id in a table with columns 'scan' and 'path', name another OUT, or do all scans again with --recompute"
    return refusal(scan.id, HypojaxError(Reason.DUPLICATE_SCAN, f"{message}; {advice}"), seconds=0.0)


def same_image(image: Image, native: Native) -> bool:
    """Whether voxels, their type, scaling and place are those that a store has."""
    return (
        image.voxels.dtype == native.voxels.dtype
        and (image.slope, image.intercept) == (native.slope, native.intercept)
        and np.array_equal(image.affine, native.affine)
        and np.array_equal(image.voxels, native.voxels, equal_nan=image.voxels.dtype.kind == "f")
    )


def _holds_image(record: ScanRecord) -> bool:
    """Whether the voxels of a scan were stored with its record."""
    return any(key.startswith("native/") for key in record["files"])


Entries = Mapping[str, ScanEntry]


def adopt(found: Discovery, known: Sequence[ScanEntry]) -> Discovery:
    """What was found, under the names that a store has for it.

    - A file that the store knows keeps its id and the name of its dataset, whatever other inputs are named this time.
    - Where the store has an id for a file of another dataset that is still there, the name of the dataset goes before the new ids.
      Where that file is gone, or is of the same dataset, the id stays: the store says what to do.
    - A name of a dataset that the store has for other files gets a number behind it.

    Parameters
    ----------
    found
        What a search found.
    known
        All inputs of the store.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN`` where two files have one id all the same.
    """
    files: dict[Location, dict[str, ScanEntry]] = {}
    for entry in known:
        files.setdefault(real(locate(entry["path"])), {})[entry["scan"]] = entry
    entries = {entry["scan"]: entry for entry in known}
    again = {scan.id: _of_file(scan, files[place]) for scan in found.scans if known and (place := real(scan.path)) in files}
    names = _as_before(found, files, again)
    new = [replace(scan, dataset=names.get(scan.dataset, scan.dataset)) for scan in found.scans]
    homes = {names[name]: folder for name, folder in found.datasets.items()}
    strange = {scan.dataset for scan in new if scan.id not in again and _of_others(scan, entries, homes.get(scan.dataset))}

    def named_as_before(scan: Scan) -> Scan:
        if scan.id in again:
            return replace(scan, id=again[scan.id]["scan"])
        return replace(scan, id=f"{scan.dataset}_{scan.id}") if scan.dataset in strange else scan

    scans = sorted(unique(map(named_as_before, new)), key=lambda scan: scan.id)
    said = [f"the output has other scans with ids of dataset {name!r}: its new ids begin with {name}_" for name in sorted(strange)]
    return replace(found, scans=tuple(scans), notes=(*found.notes, *said), datasets=homes)


def _of_file(scan: Scan, entries: Entries) -> ScanEntry:
    """What the store has of a scan's file, which links may let stand for several scans: under the same id, else the first."""
    return entries.get(scan.id) or entries[min(entries)]


def _as_before(found: Discovery, files: Mapping[Location, Entries], again: Entries) -> dict[str, str]:
    """Name of a dataset as found → as the store has it: that of the first of its scans that is known, else one that no other has."""
    before: dict[str, str] = {}
    for scan in found.scans:
        if scan.dataset in found.datasets and scan.id in again and (name := again[scan.id].get("dataset", "")):
            before.setdefault(scan.dataset, name)
    names: dict[str, str] = {}
    for name, folder in found.datasets.items():
        elsewhere = (entries.values() for place, entries in files.items() if not inside(place, folder))
        taken = {entry.get("dataset", "") for entries in elsewhere for entry in entries}
        others = {other for key, other in before.items() if key != name}
        names[name] = before.get(name) or free_name(name, {*taken, *others, *names.values()})
    return names


def _of_others(scan: Scan, entries: Entries, folder: Location | None) -> bool:
    """Whether the store has the id of a scan for a file of another dataset (in another folder, where one is known) that is still there."""
    entry = entries.get(scan.id)
    if entry is None or entry.get("dataset") == scan.dataset:
        return False
    place = locate(entry["path"])
    return not (folder and inside(real(place), folder)) and _is_there(place)


def _is_there(place: Location) -> bool:
    """Whether there is a file; none at a path that cannot be."""
    try:
        return place.exists()
    except OSError:
        return False
