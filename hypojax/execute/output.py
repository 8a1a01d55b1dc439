"""The output folder of a run: whether it is one, the store in it, and what that says of its making."""

import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final

from hypojax import cohort
from hypojax.cohort import derivatives
from hypojax.execute.lock import table_lock
from hypojax.execute.machine import provenance, weights_of
from hypojax.execute.outcome import Outcome, from_records
from hypojax.reason import Reason, RunError
from hypojax.release import weights_sha256
from hypojax.scans import Scan
from hypojax.settings import RunSettings
from hypojax.storage import Location, absolute, digests, locate, place_all, remote, uri
from hypojax.store import CohortStore, ScanEntry, index_of

STORE: Final = "cohort.zarr"
DERIVATIVES: Final = "derivatives"
if TYPE_CHECKING:
    from hypojax.execute.pipeline import Segments

DATASET: Final = ("dataset_description.json", "participants.tsv")
"""Either of them lies at the root of a dataset."""

RAW: Final = (*DATASET, "sub-*", "*.nii", "*.nii.gz", "*.mgz", "*.mgh", "*.dcm")
"""What lies at the top of a folder of scans and of no output."""


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
    if scan.listed:
        entry["listed"] = scan.listed
    if scan.size:  # else it could not be asked
        entry["size"], entry["modified"] = scan.size, scan.modified
    return entry


def open_for(scans: Sequence[ScanEntry], *, out: Location, settings: RunSettings, network: "Segments | None") -> CohortStore:
    """The store in ``out`` with these scans among its inputs; without a network, the weights are those that the settings name."""
    refuse_case_twins([entry["scan"] for entry in (*known_entries(out), *scans)], out=out)
    weights = weights_of(network) if network else weights_sha256(settings.weights, ensemble=settings.ensemble)
    common = {"hypojax": metadata.version("hypojax"), **weights}
    made = {**provenance(network), **weights, "run_settings": json.dumps(asdict(settings), default=str, sort_keys=True)}
    return CohortStore.create(out / STORE, scans=scans, settings=common, provenance=made, anew=settings.recompute)


def source_datasets(paths: Iterable[str]) -> list[str]:
    """Roots of the datasets that files belong to; the folder of a file that belongs to none.

    A root is the nearest folder above with ``dataset_description.json`` or ``participants.tsv``; in a bucket, where asking takes a while
    for thousands of subjects, the folder above that of the subject.

    >>> source_datasets(["scans/a.nii", "scans/b.nii", "s3://bucket/bids/sub-01/anat/sub-01_T1w.nii.gz"])
    ['s3://bucket/bids', 'scans']
    """
    return sorted({str(_root(folder)) for folder in {locate(path).parent for path in paths}})


def dataset_links(roots: Iterable[str], *, seen_from: Location) -> dict[str, str]:
    """Name in BIDS URIs → where the dataset is found, as a URI: its DOI, its address in a bucket, or the way up to it from a folder in it.

    One that has no DOI and lies elsewhere on this machine is left out: derivatives are passed on, and its path is nobody's business.

    Parameters
    ----------
    roots
        Of the datasets.
    seen_from
        The folder that the addresses are written into.

    Examples
    --------
    >>> dataset_links(["s3://bucket/my bids", "/home/ann/study"], seen_from=Path("out/derivatives"))
    {'my-bids-075c4c': 's3://bucket/my%20bids'}
    """
    return {_name(root): address for root in map(locate, roots) if (address := _address(root, seen_from))}


def _address(root: Location, seen_from: Location) -> str:
    """Where a dataset is found; empty where only its path would say so."""
    if remote(root):
        return uri(root)
    try:
        doi = str(json.loads((root / DATASET[0]).read_text(encoding="utf-8"))["DatasetDOI"])
    except (OSError, ValueError, KeyError, TypeError):
        doi = ""
    if doi:
        return f"doi:{doi.removeprefix('doi:').removeprefix('https://doi.org/')}"
    if not _is_dataset(root):  # a folder of loose scans, whose name may tell whose they are
        return ""
    way = absolute(seen_from)
    return "/".join([".."] * (len(way.parts) - len(absolute(root).parts))) if absolute(root) in way.parents else ""


def authors(roots: Iterable[str]) -> list[str]:
    """Who the datasets on this machine say made them: whoever measures their scans goes on with their work."""
    found: dict[str, None] = {}
    for root in roots:
        if isinstance(place := locate(root), Path):
            try:
                listed = json.loads((place / DATASET[0]).read_text(encoding="utf-8")).get("Authors", [])
                found |= dict.fromkeys(name for name in listed if isinstance(name, str) and name.strip())
            except (OSError, ValueError, AttributeError, TypeError):
                continue  # it says nothing of them
    return list(found)


def _name(root: Location) -> str:
    """A name for a dataset that depends on its place alone: the name of its folder, and a few digits of its address's hash."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", absolute(root).name).strip("-") or "dataset"
    return f"{plain}-{hashlib.sha256(uri(root).encode()).hexdigest()[:6]}"


@lru_cache(maxsize=4096)
def _root(folder: Location) -> Location:
    """The root of the dataset that a folder belongs to, itself where it belongs to none."""
    if remote(folder):
        return next((place.parent for place in (folder, *folder.parents) if place.name.startswith("sub-")), folder)
    return next((place for place in (folder, *folder.parents) if _is_dataset(place)), folder)


def _is_dataset(folder: Path) -> bool:
    """Whether a folder says that it is a dataset; False for a path that cannot be (too long, a NUL byte), of which pathlib raises."""
    return any(os.path.isfile(folder / name) for name in DATASET)  # noqa: PTH113


def describe_derivatives(store: CohortStore, out: Location) -> None:
    """Write what describes the derivatives folder."""
    sources = source_datasets([entry["path"] for entry in store.scans])
    root, version = out / DERIVATIVES, metadata.version("hypojax")
    derivatives.write_dataset(root, version=version, sources=dataset_links(sources, seen_from=root), authors=authors(sources))


def concluded(store: CohortStore, *, out: Location, start: float) -> Outcome:
    """Write the table and its exports, and say how it went."""
    with table_lock(out) as common:
        store = CohortStore.open(common / STORE)  # its index knows by now what workers said of themselves
        records = store.records()
        table = cohort.build(records, store.scans)
        files = cohort.exported(table)
        store.write_table(table, exports=digests(files))
        place_all(common, files, through=True)
    results = from_records(records, scans=store.index.ids)
    return Outcome(results, seconds=time.perf_counter() - start, summary=cohort.summary(table))
