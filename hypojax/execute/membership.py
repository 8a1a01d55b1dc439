"""Who belongs to a cohort: scans leave it for good, and cohorts that were made apart become one."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hypojax.cohort import derivatives
from hypojax.execute.integrity import export_again
from hypojax.execute.lock import locked, table_lock
from hypojax.execute.outcome import Callback, NoCallback, Outcome
from hypojax.execute.output import DERIVATIVES, STORE, concluded, describe_derivatives, refuse_case_twins, refuse_raw, source_datasets
from hypojax.execute.pipeline import Pipeline
from hypojax.reason import Reason, RunError
from hypojax.scans.found import free_name
from hypojax.storage import Location, Place, locate, locate_all, real
from hypojax.store import CohortStore, ScanEntry
from hypojax.store.evaluations import copy_evaluations
from hypojax.store.index import joined, put_index, settings_differences
from hypojax.store.ledger import record_path
from hypojax.store.removal import reports_of
from hypojax.store.transfer import copied, damaged_source
from hypojax.tables.cells import counted

KEPT: Final = "delete it, or name it in a text file and give that to each later run: --exclude FILE"


@dataclass(frozen=True)
class Holding:
    """What an output has of a scan.

    Parameters
    ----------
    scan
        Its id.
    path
        Its input file, which a removal leaves alone.
    objects
        Objects of the store, without its record.
    label_maps
        Files below the derivatives folder.
    """

    scan: str
    path: str
    objects: int
    label_maps: int


def holdings(out: Place, scans: str | Iterable[str]) -> tuple[Holding, ...]:
    """What `remove` would remove; nothing is changed.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: there is no store, or it has no such scan; ``USAGE``: no scan is named, or all of the cohort are.
    """
    store = CohortStore.open(locate(out) / STORE)
    named = (scans,) if isinstance(scans, str) else tuple(dict.fromkeys(scans))
    known = store.index.by_id
    if unknown := [scan for scan in named if scan not in known]:
        raise RunError(
            Reason.NOTHING_FOUND, f"there is no scan {unknown[0]!r} in {out}; hypojax.open_cohort({str(out)!r}).scan has all ids"
        )
    if not named or not set(known) - {*named, *store.index.removing}:
        message = "no scan is named" if not named else f"these are all scans of the cohort ({len(known)}); delete the folder {out}"
        raise RunError(Reason.USAGE, f"{message}; nothing was removed")
    records = {scan: store.record(scan) for scan in named}
    files = {scan: len(record["files"]) if record else 0 for scan, record in records.items()}
    return tuple(Holding(scan, known[scan]["path"], files[scan], len(store.derivatives(scan))) for scan in named)


def remove(out: Place, scans: str | Iterable[str], *, callback: Callback | None = None) -> tuple[Holding, ...]:
    """Remove scans for good, as where consent was withdrawn: every byte of them goes, and then the table is written again.

    They go from the arrays, the table and its exports, ``qc.tsv``, the label maps and the recorded evaluations; reports in ``out`` go
    whole, since all pages have numbers of all scans. The ledger keeps that scans were removed, when and how many, and not which. Input
    files are left alone: delete them, or name them in ``RunSettings(exclude=...)``, or the next run takes them again. Results of studies
    that had the scans must be made again.
    A removal that breaks off is finished by the next command that writes into ``out``.

    Parameters
    ----------
    out
        Output folder.
    scans
        Their ids; one needs no list.
    callback
        Called as the work proceeds.

    Returns
    -------
    What was removed, with the input files that are still there.

    Raises
    ------
    RunError
        As `holdings`; another run holds the output, or it is not writable.
    """
    out, callback = locate(out), callback or NoCallback()
    CohortStore.open(out / STORE)  # no store, no folder to make
    with locked(out, say=callback.noted) as hold:
        store = CohortStore.open(hold.out / STORE)
        found = holdings(hold.out, scans)  # before a removal that broke off is finished, which may be this very one
        reports = reports_of(hold.out)
        store.take_over(store.index.ids)
        for one in found:
            derivatives.remove_scan(hold.out / DERIVATIVES, scan=one.scan)
        if left := [one.scan for one in found if one.scan in store.index.slots]:
            store.remove(left)
        with table_lock(hold.out) as common:
            if (common / DERIVATIVES).exists():
                describe_derivatives(store, common)
        concluded(store, out=hold.out, start=time.perf_counter())
    for one in found:
        callback.noted(f"the input file {one.path} was left alone: {KEPT}")
    for report in reports:
        callback.noted(f"the report {report} had numbers of them on all pages and was removed; make it again: hypojax report {out}")
    callback.noted("results of studies in which these scans took part must be made again; delete reports of them that lie elsewhere")
    return found


def merge(outs: Iterable[Place], new: Place, *, callback: Callback | None = None) -> Outcome:
    """Make one cohort of several that were made apart with the same weights and version; those are left as they are.

    Where two have a scan of the same id, the ids of the later one's dataset begin with the name of that dataset, as when `run` finds a
    second dataset with the same labels. What is copied is held against its checksums. The same call goes on where a merge broke off.
    Recorded evaluations are taken along, with the new ids of the scans that they name.

    Parameters
    ----------
    outs
        Output folders, two or more.
    new
        A folder that does not exist yet, for the cohort of all.
    callback
        Called as the work proceeds.

    Raises
    ------
    RunError
        ``OTHER_SETTINGS``: the cohorts were not made alike; ``NOT_WRITABLE``: ``new`` is another cohort; ``STORE_DAMAGED``: an output is
        damaged; ``DUPLICATE_SCAN``: two cohorts have a scan of the same file; ``NOTHING_FOUND``, ``USAGE``, ``DISK_FULL``.
    """
    places, new, callback = locate_all(outs), locate(new), callback or NoCallback()
    if len(places) < 2 or len({real(place) for place in (*places, new)}) <= len(places):
        raise RunError(Reason.USAGE, "a merge needs two or more different cohorts and a new folder: hypojax merge OUT OUT ... NEW")
    start, sources = time.perf_counter(), [CohortStore.open(place / STORE) for place in places]
    _refuse_unlike(sources)
    removed = tuple(removed for source in sources for removed in source.index.removed)
    planned = dict(_renamed(sources, callback=callback))
    refuse_raw(new)
    refuse_case_twins(planned, out=new)
    _refuse_other(new, planned, removed)
    with locked(new, say=callback.noted) as hold:
        store = CohortStore.create(
            hold.out / STORE,
            scans=[entry for entry, _ in planned.values()],
            settings=sources[0].index.settings,
            provenance=_provenance(sources),
        )
        store.take_over(store.index.ids)
        if removed:
            store.index = replace(store.index, removed=removed)
            put_index(store.root, store.index)
        _copy_evaluations(sources, planned, store.root, callback=callback)
        missing = set(store.missing())
        callback.started(total=len(missing), kept=len(planned) - len(missing))
        mapped = _copy_all(store, planned, missing)
        if mapped:
            with table_lock(hold.out) as common:
                describe_derivatives(store, common)
        failed = list(export_again(Pipeline(store, hold.out / DERIVATIVES), mapped))
        for message in failed:
            callback.noted(message)
        return concluded(store, out=hold.out, start=start)


Planned = Mapping[str, tuple[ScanEntry, tuple[CohortStore, str]]]
"""Id in the new cohort → its entry there, and where it comes from."""


def _copy_all(store: CohortStore, planned: Planned, missing: Iterable[str]) -> list[str]:
    """Copy scans that the new cohort lacks; gives those whose label maps are to be made, as the cohorts had them."""
    for scan in sorted(missing):
        source, named = planned[scan][1]
        if (record := source.record(named)) is not None:
            store.take_copy(*copied(source.root, record, scan=scan, slot=store.index.slots[scan]))
        elif record_path(source.root, named).exists():
            raise damaged_source(source.root, named, "its ledger record is damaged")
    return [scan for scan, (_, (source, named)) in planned.items() if source.derivatives(named) and not store.derivatives(scan)]


def _copy_evaluations(sources: Sequence[CohortStore], planned: Planned, root: Location, *, callback: Callback) -> None:
    """Add the recorded evaluations of the cohorts to those of the new one."""
    left = 0
    for source in sources:
        left += copy_evaluations(source.root, root, ids={scan: new for new, (_, (of, scan)) in planned.items() if of is source})
    if left:
        callback.noted(f"{counted(left, 'recorded evaluation')} left out: the name of a file in it has an id that is another now")


def _refuse_other(new: Location, planned: Planned, removed: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to merge into a cohort that is not the one of these, or that scans were removed from, which would be back."""
    if not (new / STORE).exists():
        return
    index = CohortStore.open(new / STORE).index
    if any(entry["scan"] not in planned or entry["path"] != planned[entry["scan"]][0]["path"] for entry in index.scans):
        raise RunError(Reason.NOT_WRITABLE, f"{new} is another cohort already; name a folder that does not exist yet")
    if index.removing or (index.removed and index.removed != tuple(removed)):
        message = f"scans were removed from {new} since it was merged, and would be back in it"
        raise RunError(Reason.NOT_WRITABLE, f"{message}; remove them from the other cohorts too, and name a folder that does not exist yet")


def _refuse_unlike(sources: Sequence[CohortStore]) -> None:
    """Refuse cohorts that were not made with the same weights and version, or that scans are still to leave."""
    for source in sources:
        if source.index.removing:
            message = f"the removal of {counted(len(source.index.removing), 'scan')} from {source.root.parent} broke off"
            raise RunError(Reason.STORE_DAMAGED, f"{message}; run: hypojax repair {source.root.parent}, then merge again")
    for source in sources[1:]:
        if differences := settings_differences(sources[0].index.settings, source.index.settings):
            message = f"{source.root} was not made as {sources[0].root}: {'; '.join(differences)}"
            raise RunError(Reason.OTHER_SETTINGS, f"{message}; run one of them again with the weights and version of the other")


def _renamed(sources: Sequence[CohortStore], *, callback: Callback) -> Iterator[tuple[str, tuple[ScanEntry, tuple[CohortStore, str]]]]:
    """Every scan under its id in the new cohort, in order; ids and names of datasets of later cohorts give way."""
    taken: set[str] = set()
    files: dict[Location, str] = {}
    roots: dict[str, set[str]] = {}
    for source in sources:
        scans = source.index.by_id
        of: dict[str, list[str]] = {}
        for entry in scans.values():
            of.setdefault(entry.get("dataset", ""), []).append(entry["path"])
            if (first := files.setdefault(real(locate(entry["path"])), str(source.root))) != str(source.root):
                message = f"{first} and {source.root} both have a scan of {entry['path']}, which would be counted twice"
                raise RunError(
                    Reason.DUPLICATE_SCAN, f"{message}; remove it from one of them: hypojax remove {source.root.parent} {entry['scan']}"
                )
        names = {name: _dataset_name(name, set(source_datasets(paths)), roots) for name, paths in of.items()}
        strange = {entry.get("dataset", "") for scan, entry in scans.items() if scan in taken}
        for name in sorted(strange):
            shared = f"scans of dataset {name!r} in {source.root.parent} have the ids of other scans"
            callback.noted(f"{shared}; their new ids begin with {names[name]}_")
        for scan, entry in scans.items():
            dataset = entry.get("dataset", "")
            named = f"{names[dataset]}_{scan}" if dataset in strange else scan
            if named in taken:
                raise RunError(Reason.DUPLICATE_SCAN, f"two scans would have the id {named!r}; give one another id in a table of scans")
            taken.add(named)
            yield named, (ScanEntry(**{**entry, "scan": named, "dataset": names[dataset]}), (source, scan))


def _dataset_name(name: str, places: set[str], roots: dict[str, set[str]]) -> str:
    """The name of a dataset in the new cohort: its own where no other place has it, else one that is free."""
    chosen = name if not roots.get(name) or roots[name] & places else free_name(name, set(roots))
    roots.setdefault(chosen, set()).update(places)
    return chosen


def _provenance(sources: Sequence[CohortStore]) -> dict[str, str]:
    """Every value that occurred in any of the cohorts."""
    found: dict[str, str] = {}
    for source in sources:
        for name, values in source.index.provenance.items():
            for value in str(values).split("; "):
                found[name] = joined(found.get(name, ""), value)
    return found
