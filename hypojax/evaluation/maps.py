"""Label maps as they lie on a disk: in folders, BIDS derivatives, single files, or the store of a hypojax run."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import UInt8

from hypojax import schema
from hypojax.grid import Affine
from hypojax.reason import Reason, RunError, ScanError
from hypojax.scans import Image, read
from hypojax.scans.bids import dataset_of, entities, is_image, is_there, modality, stem
from hypojax.scans.bids_tables import Datasets
from hypojax.scans.kind import NO_T1W
from hypojax.scans.tree import walk
from hypojax.schema import AFFINE, LABELS
from hypojax.store import CohortStore, ScanEntry
from hypojax.tables import Value

STORE: Final = "cohort.zarr"

HYPOTHALAMUS: Final = "hypothalamus"

INTRACRANIAL: Final = "icv"

STRUCTURES: Final = (HYPOTHALAMUS, INTRACRANIAL)
"""What a label map may be of; its values are those of `hypojax.schema.LABELS`, or anything above 0 for the intracranial volume."""

LABEL_SUFFIXES: Final = ("dseg", "mask", "seg", "label", "labels", "icv", "dlicv", "dlmuse", "brainmask", "hypothalamus")
"""Endings of a file name that name the kind of file and not the scan."""

INTRACRANIAL_WORDS: Final = frozenset({"icv", "dlicv", "dlmuse", "tiv", "etiv", "brain", "brainmask", "intracranial"})

NAMING: Final = ("seg", "label", "atlas", "description")
"""Entities that name what a label map shows; all others name the scan or the grid."""

IDENTITY: Final = ("subject", "session", "task", "acquisition", "ceagent", "reconstruction", "run", "echo", "part")

SHORT: Final = {"subject": "sub", "session": "ses", "acquisition": "acq", "ceagent": "ce", "reconstruction": "rec"}

FOLDERS: Final = re.compile(r"(sub|ses)-.*|anat|derivatives")
"""Folders of BIDS between a dataset and a file."""


@dataclass(frozen=True)
class LabelMap:
    """One label map that was found; nothing is read yet.

    Parameters
    ----------
    scan
        The scan it belongs to, without dataset (``sub-01_ses-2``).
    structure
        One of `STRUCTURES`.
    path
        The file, or the cohort store.
    dataset
        Name of its dataset, or folders between what was named and the file; empty where there are none.
    entities, columns
        BIDS entities of the name; columns of participants tables.
    store, key
        The store and the scan's id in it; none for a file.
    """

    scan: str
    structure: str
    path: Path
    dataset: str = ""
    entities: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Value] = field(default_factory=dict)
    store: CohortStore | None = None
    key: str = ""

    @property
    def place(self) -> str:
        """Where it lies, for tables and messages."""
        return f"{self.path} ({self.key})" if self.key else str(self.path)


@dataclass(frozen=True, eq=False)
class Labels:
    """A label map in memory.

    Parameters
    ----------
    voxels
        0–10 for the hypothalamus, 0 and 1 for the intracranial volume; stored orientation.
    affine
        Voxel-to-world matrix, mm, RAS+.
    """

    voxels: UInt8[np.ndarray, "i j k"]
    affine: Affine


def find_maps(place: Path, *, structure: str | None = None, known: Datasets | None = None) -> tuple[LabelMap, ...]:
    """All label maps at a place, in order.

    Parameters
    ----------
    place
        Output folder of `hypojax run` (its store is read, failed scans included), a cohort store, BIDS derivatives, a folder
        with images at any depth, or one image.
    structure
        What they are of, for names that do not tell: all images are then taken.
    known
        Tables of datasets, each read once and kept here.

    Raises
    ------
    RunError
        ``USAGE``: there is nothing there; ``STORE_DAMAGED``.

    Examples
    --------
    >>> find_maps(Path("/nowhere"))
    Traceback (most recent call last):
    hypojax.reason.RunError: /nowhere does not exist; name a folder of label maps, an output folder of hypojax run, or an image
    """
    store = next((folder for folder in (place / STORE, place) if (folder / "ledger").is_dir()), None)
    if store is not None:
        return tuple(found for found in _stored(store) if structure in (None, found.structure))
    if not place.exists():
        message = f"{place} does not exist; name a folder of label maps, an output folder of hypojax run, or an image"
        raise RunError(Reason.USAGE, message)
    if not place.is_dir():
        return (_file(place, place.parent, structure or structure_of(place) or HYPOTHALAMUS, {}),)
    columns = _columns_below(place, known or Datasets())
    named = ((path, structure or structure_of(path)) for path in walk(place) if is_image(path))
    return tuple(_file(path, place, kind, columns(path)) for path, kind in named if kind)


def structure_of(path: Path) -> str | None:
    """What an image shows, by its name; None where it is no label map of ours.

    >>> structure_of(Path("sub-01_space-orig_label-ICV_mask.nii.gz")), structure_of(Path("sub-01_dseg.nii.gz"))
    ('icv', 'hypothalamus')
    >>> structure_of(Path("sub-01_T1w.nii.gz")), structure_of(Path("sub-01_desc-aseg_dseg.nii.gz"))
    (None, None)
    """
    kind, named = modality(path), entities(path)
    labels = [value.lower() for key, value in named.items() if key in NAMING]
    if any("hypothal" in word for word in (*labels, stem(path).lower())):
        return None if kind == "probseg" else HYPOTHALAMUS
    words = {kind.lower()} if named else {*re.split("[_-]", stem(path).lower())}
    if INTRACRANIAL_WORDS & {*labels, *words}:
        return INTRACRANIAL
    if labels or kind in ("T1w", "mask") or (NO_T1W.fullmatch(kind) and kind != "dseg"):
        return None
    return HYPOTHALAMUS


def scan_of(named: Mapping[str, str]) -> str:
    """The scan that a label map belongs to, by its entities in the order of BIDS, run numbers without leading zeros.

    >>> scan_of(entities(Path("sub-01_run-02_acq-x_space-orig_seg-hypothalamus_dseg.nii.gz")))
    'sub-01_acq-x_run-2'
    """
    values = {key: named[key].lstrip("0") or "0" if key == "run" else named[key] for key in IDENTITY if key in named}
    return "_".join(f"{SHORT.get(key, key)}-{value}" for key, value in values.items())


def load(found: LabelMap) -> Labels:
    """Read a label map.

    Raises
    ------
    ScanError
        It cannot be read, is no label map, or the scan it is of failed when it was run.
    """
    if found.store is not None:
        return _load_stored(found, found.store)
    image = read(found.scan, found.path)
    return Labels(_checked(image, found), image.affine)


def _file(path: Path, root: Path, structure: str, columns: Mapping[str, Value]) -> LabelMap:
    """The label map in a file below a root."""
    named = entities(path)
    words = stem(path).split("_")
    plain = "_".join(words[:-1]) if len(words) > 1 and words[-1].lower() in LABEL_SUFFIXES else stem(path)
    dataset = dataset_of(path.parent)
    between = [part for part in path.parent.relative_to(root).parts if not FOLDERS.fullmatch(part)]
    return LabelMap(scan_of(named) or plain, structure, path, dataset.name if dataset else "_".join(between), named, columns)


def _stored(root: Path) -> Iterator[LabelMap]:
    store = CohortStore.open(root)
    for entry in store.scans:
        scan = scan_of(entry["entities"])
        for structure in STRUCTURES:
            yield LabelMap(
                scan=scan or entry["scan"],
                structure=structure,
                path=root,
                dataset=_dataset_of(entry, named=bool(scan)),
                entities=entry["entities"],
                columns=entry["columns"],
                store=store,
                key=entry["scan"],
            )


def _dataset_of(entry: ScanEntry, *, named: bool) -> str:
    """Name of the dataset of a stored scan; in a store that is older than such names, the folder of a BIDS dataset.

    Where there is none, it is what precedes the subject of a scan that is ``named`` as BIDS has it.
    """
    if "dataset" in entry:
        return entry["dataset"]
    folder = dataset_of(Path(entry["path"]).parent)
    return folder.name if folder else entry["scan"].partition("sub-")[0].rstrip("_") if named else ""


def _load_stored(found: LabelMap, store: CohortStore) -> Labels:
    """A label map of a store; a scan that failed when it was run fails here for the same reason."""
    record = store.record(found.key)
    if record is None or record["status"] == "pending":
        raise ScanError(Reason.NO_PREDICTION, found.scan, f"it is not segmented yet in {found.path}; run: hypojax run INPUT OUT")
    if record["status"] == "failed":
        message = record["message"].removeprefix(f"scan {found.key!r}: ")
        raise ScanError(Reason(record["reason"]), found.scan, f"it failed when it was run: {message}")
    if found.structure == INTRACRANIAL and (reason := record["regions"]["icv"]["missing_reason"]):
        raise ScanError(Reason(reason), found.scan, f"its intracranial volume was not measured ({reason}); leave it out of the references")
    labels = store.open_scan(found.key, group="labels")
    name = schema.HYPOTHALAMUS.name if found.structure == HYPOTHALAMUS else schema.INTRACRANIAL.name
    return Labels(np.asarray(labels[name].values), labels[AFFINE.name].values)


def _checked(image: Image, found: LabelMap) -> UInt8[np.ndarray, "i j k"]:
    stored = (image.slope, image.intercept) == (1.0, 0.0) and image.voxels.dtype.kind in "iu"
    values = image.voxels if stored else image.scaled()
    if found.structure == INTRACRANIAL:
        return np.asarray(values > 0).view(np.uint8)
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > max(LABELS) or not (stored or (values == np.round(values)).all()):
        message = f"{found.path} has values from {low:g} to {high:g}, a hypothalamus label map has whole numbers from 0 to {max(LABELS)}"
        raise ScanError(Reason.OTHER_LABELS, found.scan, f"{message}; name another file, or give --structure icv for a mask of the head")
    return values.astype(np.uint8)


def _columns_below(place: Path, known: Datasets) -> Callable[[Path], Mapping[str, Value]]:
    """What participants tables say of a file: that of the folder itself, or of the dataset that the file belongs to."""
    own = place if is_there(place / "participants.tsv") else None

    def columns(path: Path) -> Mapping[str, Value]:
        return known.columns(path, root=own or dataset_of(path.parent))

    return columns
