"""The two levels of a BIDS-App: runs of chosen people that write into one output side by side, and the cohort of all of them.

All runs write into one cohort, as shards do, so that nothing has to be copied and merged: each holds a lock for every scan it does, and
adds its scans to the inputs of the cohort (`hypojax.execute.lock.ChosenScans`).
"""

import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from hypojax.cohort import derivatives
from hypojax.execute.inputs import find
from hypojax.execute.lock import ChosenScans, locked, remove_share_locks, table_lock
from hypojax.execute.outcome import Callback, NoCallback, Outcome
from hypojax.execute.output import STORE, concluded, describe_derivatives, entry_of
from hypojax.reason import Reason, RunError
from hypojax.scans import discover
from hypojax.storage import names, place
from hypojax.store import CohortStore
from hypojax.tables.cells import counted

MOST_LOCKS: Final = 500
"""Scans for which a run holds a lock each; systems allow some thousand open files. A run of more scans holds the output alone."""

MOST_SHOWN: Final = 20
"""Labels that a sentence lists."""

IGNORED: Final = ("cohort.zarr", "volumes.tsv", "volumes.parquet", "qc.tsv", "report", "report-shared", "study", "set-aside")
"""What an output holds that BIDS has no name for."""


@dataclass(frozen=True)
class Chosen:
    """The scans of one run of a BIDS-App.

    Parameters
    ----------
    files
        What to give to `hypojax.run`: the files of the scans, or the dataset where all are taken.
    share
        Their ids, where other runs may write beside this one.
    notes
        What is to be known of how they were found, where that run does not say it.
    """

    files: tuple[Path, ...]
    share: ChosenScans | None = None
    notes: tuple[str, ...] = ()


def choose(dataset: Path, *, participants: Collection[str] = (), sessions: Collection[str] = ()) -> Chosen:
    """The T1w scans of chosen people and sessions of a BIDS dataset; all of it where none is named.

    Parameters
    ----------
    dataset
        Root of the dataset.
    participants, sessions
        Labels, with or without ``sub-`` or ``ses-``.

    Raises
    ------
    RunError
        ``USAGE``: a label that is not there, with those that are; ``NOTHING_FOUND``: nobody who was named has a T1w image.
    """
    if not participants and not sessions:
        return Chosen((dataset,))
    people = _bare(participants, "sub-")
    folders = [name.removeprefix("sub-") for name in names(dataset)[0] if name.startswith("sub-")]
    _refuse_unknown(people, folders, what="participant", dataset=dataset)
    found = discover(dataset)
    scans = [scan for scan in found.scans if not people or scan.entities.get("subject") in people]
    visits = _bare(sessions, "ses-")
    _refuse_unknown(visits, [scan.entities.get("session", "") for scan in scans], what="session", dataset=dataset)
    scans = [scan for scan in scans if not visits or scan.entities.get("session") in visits]
    with_scan = {scan.entities.get("subject", "") for scan in scans}
    without = [f"sub-{label}" for label in people if label not in with_scan]
    if not scans:
        message = f"no T1w image of {', '.join(without) or 'these people'} in {dataset} can be measured"
        raise RunError(Reason.NOTHING_FOUND, ". Note: ".join((f"{message}; look into the folder anat, or leave them out", *found.notes)))
    notes = [f"no T1w image of {', '.join(without)} was found in {dataset}: nothing is measured of them"] if without else []
    share = ChosenScans(tuple(scan.id for scan in scans)) if len(scans) <= MOST_LOCKS else None
    return Chosen(tuple(Path(str(scan.path)) for scan in scans), share, (*found.notes, *notes))


def conclude_group(dataset: Path, out: Path, *, callback: Callback | None = None) -> Outcome:
    """Write the tables of the cohort in ``out``, with what the tables of the dataset say of its people by now.

    Parameters
    ----------
    dataset
        Root of the dataset.
    out
        Output folder of the runs of its participants.
    callback
        Called as the work proceeds.

    Returns
    -------
    What became of every scan, with a note on scans of the dataset that no run was given.

    Raises
    ------
    RunError
        ``NOTHING_FOUND``: no participant was run; ``BUSY``: a run of participants is still writing; ``NOT_WRITABLE``.
    """
    start, callback = time.perf_counter(), callback or NoCallback()
    if not (out / STORE).exists():
        message = f"there is no result of participants in {out}"
        raise RunError(Reason.NOTHING_FOUND, f"{message}; first run: hypojax bids {dataset} {out} participant")
    found = find(dataset, out=out)
    with locked(out, say=callback.noted):
        store = CohortStore.open(out / STORE)
        store.take_over(store.index.ids)
        remove_share_locks(out)
        known = [scan for scan in found.scans if scan.id in store.index.by_id]
        store = CohortStore.create(store.root, scans=[entry_of(scan) for scan in known], settings=store.index.settings)
        if known and (out / "derivatives").is_dir():
            describe_derivatives(store, out)
        outcome = concluded(store, out=out, start=start)
    _tell_of_missing([scan.id for scan in found.scans if scan.id not in store.index.by_id], say=callback.noted)
    return outcome


def describe_output(out: Path) -> None:
    """Write ``dataset_description.json`` and ``.bidsignore`` into an output folder, so that it is a BIDS dataset of derivatives itself.

    Label maps lie in ``derivatives/`` there, which is a dataset of its own. Run again it gives the same bytes.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    made = {"Name": "hypojax", "Version": metadata.version("hypojax"), "Description": derivatives.MADE}
    description = {
        "Name": "hypojax: tables and pages on hypothalamus and intracranial volume; label maps are in derivatives/",
        "BIDSVersion": derivatives.BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [made],
    }
    out.mkdir(parents=True, exist_ok=True)
    with table_lock(out):
        place(out / "dataset_description.json", json.dumps(description, indent=2).encode() + b"\n")
        place(out / ".bidsignore", "\n".join([*IGNORED, ""]).encode())


def _bare(labels: Iterable[str], prefix: str) -> list[str]:
    """Labels without what BIDS puts before them, each once."""
    return list(dict.fromkeys(label.removeprefix(prefix) for label in labels))


def _refuse_unknown(labels: Iterable[str], there: Iterable[str], *, what: str, dataset: Path) -> None:
    """Refuse a label that nobody has."""
    known = sorted({label for label in there if label})
    if unknown := [label for label in labels if label not in known]:
        shown = ", ".join(known[:MOST_SHOWN]) + (f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else "")
        message = f"there is no {what} {', '.join(map(repr, unknown))} in {dataset}"
        raise RunError(Reason.USAGE, f"{message}; there are: {shown or 'none'}")


def _tell_of_missing(missing: Sequence[str], *, say: Callable[[str], None]) -> None:
    """Say which scans of the dataset no run of participants was given."""
    if missing:
        named = ", ".join(missing[:MOST_SHOWN]) + (", …" if len(missing) > MOST_SHOWN else "")
        say(f"note: {counted(len(missing), 'scan')} of the dataset not in the cohort ({named}): run participant for them, then group again")
