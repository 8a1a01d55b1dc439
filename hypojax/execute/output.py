"""The output folder of a run: whether it is one, the store in it, and what that says of its making."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from hypojax.execute.known import adopt
from hypojax.execute.network import provenance, weights_of
from hypojax.execute.pipeline import Segments
from hypojax.execute.sources import DATASET
from hypojax.reason import Reason, RunError
from hypojax.release import weights_sha256
from hypojax.scans import Discovery, Scan, discover
from hypojax.settings import RunSettings
from hypojax.storage import Location, Place, inside, locate_all, real
from hypojax.store import CohortStore, ScanEntry, index_of

STORE: Final = "cohort.zarr"
DERIVATIVES: Final = "derivatives"
RAW: Final = (*DATASET, "sub-*", "*.nii", "*.nii.gz", "*.mgz", "*.mgh", "*.dcm")
"""What lies at the top of a folder of scans and of no output."""


def find(inputs: Place | Iterable[Place], *, out: Location, dataset: str = "", strict_tables: bool = False) -> Discovery:
    """What the inputs hold, without what an earlier run wrote into ``out``, under the names that the store there knows.

    ``dataset`` is the name of the dataset of all scans; that of its folder when empty.
    ``strict_tables`` refuses tables of people that are not as they should be.

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
        message = f"all {len(found.scans)} images found lie in the output folder {out}; name the folder of the scans as INPUT"
        raise RunError(Reason.NOTHING_FOUND, message)
    return adopt(replace(found, scans=foreign), known_entries(out))


def known_entries(out: Location) -> tuple[ScanEntry, ...]:
    """All inputs that the store in ``out`` has; none where there is no store yet."""
    index = index_of(out / STORE)
    return index.scans if index is not None else ()


def refuse_raw(out: Location) -> None:
    """Refuse an output folder that holds scans: most likely OUT was forgotten and this is the last INPUT.

    Raises
    ------
    RunError
        ``USAGE``.
    """
    if (out / STORE).exists():
        return
    for pattern in RAW:
        found: Iterator[Location] = iter(out.glob(pattern))
        if (first := next(found, None)) is not None:
            message = f"{out} would be the output folder, but holds {first.name!r}, so it looks like a folder of scans"
            raise RunError(Reason.USAGE, f"{message}; name an output folder of its own as the last argument, for example: {out}-hypojax")


def refuse_case_twins(scans: Iterable[str], *, out: Location) -> None:
    """Refuse ids that differ in case alone where the disk takes their folders for one: one scan would stand for both.

    Raises
    ------
    RunError
        ``DUPLICATE_SCAN``, with both.
    """
    first: dict[str, str] = {}
    twins = [(other, scan) for scan in scans if (other := first.setdefault(scan.casefold(), scan)) != scan]
    if twins and isinstance(out, Path) and ignores_case(out):
        one, two = twins[0]
        message = f"the disk of {out} takes names that differ in case for one, and scans {one!r} and {two!r} do"
        raise RunError(Reason.DUPLICATE_SCAN, f"{message}; name an OUT on another disk, or give them other ids in a table of scans")


def ignores_case(folder: Path) -> bool:
    """Whether the disk of a folder takes names that differ in case for one."""
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=folder, prefix=".Case") as file:
        return Path(file.name).with_name(Path(file.name).name.swapcase()).exists()


def entries_of(scans: Sequence[Scan]) -> list[ScanEntry]:
    """Scans as the index of a store lists them."""
    return [entry_of(scan) for scan in scans]


def entry_of(scan: Scan) -> ScanEntry:
    """One scan as the index of a store lists it."""
    entry = ScanEntry(scan=scan.id, path=str(scan.path), entities=dict(scan.entities), columns=dict(scan.columns), dataset=scan.dataset)
    return ScanEntry(**entry, listed=scan.listed) if scan.listed else entry


def open_for(scans: Sequence[ScanEntry], *, out: Location, settings: RunSettings, network: Segments | None) -> CohortStore:
    """The store in ``out`` with these scans among its inputs; without a network, the weights are those that the settings name."""
    refuse_case_twins([entry["scan"] for entry in (*known_entries(out), *scans)], out=out)
    weights = weights_of(network) if network else weights_sha256(settings.weights, ensemble=settings.ensemble)
    common = {"hypojax": metadata.version("hypojax"), **weights}
    made = {**provenance(network), **weights, "run_settings": json.dumps(asdict(settings), default=str, sort_keys=True)}
    return CohortStore.create(out / STORE, scans=scans, settings=common, provenance=made, anew=settings.recompute)
