"""BIDS derivatives: the label maps of a scan on its own voxels, two files a scan.

The layout is that of BIDS derivatives 1.10: ``sub-01/ses-2/anat/sub-01_ses-2_run-1_space-orig_seg-hypothalamus_dseg.nii.gz``
and ``…_space-orig_label-ICV_mask.nii.gz``. ``dseg.json`` and ``mask.json`` at the top describe all of them, by BIDS' inheritance principle,
and ``dseg.tsv`` names the labels.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import UInt8

from hypojax.grid import Affine
from hypojax.reason import visible
from hypojax.scans.nifti_file import bare_header, write_nifti
from hypojax.schema import LABELS
from hypojax.storage import Location, keys, place, remove

BIDS_VERSION: Final = "1.10.0"
PROTOCOL: Final = "Subunits of the hypothalamus after Bocchetta 2015, as labelled by Billot 2020"

LABELLED: Final = "Label map of the hypothalamus on the voxels of the scan: 1 to 5 left, 6 to 10 right, as dseg.tsv names them"
MASKED: Final = "Mask of the intracranial volume on the voxels of the scan"
DSEG, MASK = "_space-orig_seg-hypothalamus_dseg", "_space-orig_label-ICV_mask"
"""Ends of the names of a label map and of a mask, without suffix."""

COMMON: Final = {"SpatialReference": "orig", "Manual": False}
SIDECARS: Final[dict[str, dict[str, object]]] = {
    "dseg.json": {"Description": LABELLED, "Atlas": PROTOCOL, **COMMON},
    "mask.json": {"Description": MASKED, "Type": "Brain", **COMMON},
}
"""What every label map and every mask says about itself."""

MADE: Final = "Segments the hypothalamus and the intracranial volume of T1-weighted MRI scans"

README: Final = """# Hypothalamus and intracranial volume

Made by hypojax from T1-weighted MRI scans. Each scan has a label map of the hypothalamus,
`*_space-orig_seg-hypothalamus_dseg.nii.gz`, whose values `dseg.tsv` names, and a mask of the intracranial volume,
`*_space-orig_label-ICV_mask.nii.gz`, both on the voxels of the scan; `dseg.json` and `mask.json` describe all label maps and masks.
Where the intracranial volume cannot be known (the skull was removed, the head is cut off) there is no mask.
The voxels of a structure times their volume are its volume in the table, up to one voxel.

The table of the cohort, `../volumes.tsv`, has for each scan the file that its maps were made from (column `path`, from the folder of the
subject on) and the volumes in mm^3. A scan that failed has no files here, and the table says why. Nothing here says where on a computer
the scans lie.
"""
"""What the folder says of itself."""

ENTITIES: Final = ("ses", "task", "acq", "ce", "rec", "run", "echo", "inv", "part")
"""Entities that a source name may carry besides ``sub``, in the order BIDS wants them."""

COLORS: Final = ("#E6194B", "#F58231", "#FFE119", "#3CB44B", "#4363D8")
"""One colour a subunit, the same left and right, for viewers that read ``dseg.tsv``."""

LONGEST: Final = 120
"""Characters of the names of a scan's files before their suffixes, and of its folders; file systems take 255 bytes a name."""

PAIR: Final = re.compile(r"(?:^|_)(sub|" + "|".join(ENTITIES) + r")-([A-Za-z0-9]+)(?=_|$)")


@dataclass(frozen=True)
class ScanMaps:
    """What is written for one scan.

    Parameters
    ----------
    hypothalamus
        Labels on the scan's own grid: 1–5 left, 6–10 right, 0 background.
    intracranial
        Mask on the scan's own grid; None where the volume is missing with a reason, since a wrong mask helps nobody.
    affine
        Voxel-to-world matrix, mm, RAS+.
    header
        Raw NIfTI header of the source, whose geometry fields are kept bit for bit, and nothing else; None for other formats.
    """

    hypothalamus: UInt8[np.ndarray, "i j k"]
    intracranial: UInt8[np.ndarray, "i j k"] | None
    affine: Affine
    header: bytes | None = None


def scan_stem(scan: str) -> str:
    """Path and name of a scan's files below the derivatives folder, without suffix: a function of its id alone.

    A BIDS id with its entities in the order of BIDS is kept. Any other loses what BIDS does not allow, its remains become
    the subject label, and an x with a few digits of the id's hash tell it from others: no two ids meet, and none moves when
    another joins the cohort. Where much of an id is lost, since it is long or in letters that BIDS does not allow, there are more digits.

    >>> scan_stem("sub-01_acq-x_run-1"), scan_stem("old scan")
    ('sub-01/anat/sub-01_acq-x_run-1', 'sub-oldscanxb0ed41/anat/sub-oldscanxb0ed41')
    """
    plain = _stem(scan, "")
    if plain.rpartition("/")[2] == scan and len(scan) <= LONGEST:
        return plain
    digits = 6 if scan.isascii() and len(scan) <= LONGEST else 16
    return _stem(scan, "x" + hashlib.sha256(scan.encode("utf-8", "surrogateescape")).hexdigest()[:digits])


def _stem(scan: str, suffix: str) -> str:
    """Path and name of one scan, of which no part is too long with a suffix, which is appended to the subject label."""
    found = dict(PAIR.findall(scan))
    label = found.pop("sub", None)
    if label is None or not scan.startswith("sub-"):
        label = re.sub(r"[^A-Za-z0-9]", "", PAIR.sub(lambda match: match[0] if match[1] == "sub" else "", scan)) or "scan"
    parts = [f"sub-{label[: LONGEST - len('sub-') - len(suffix)] if suffix else label}{suffix}"]
    for part in (f"{key}-{found[key]}" for key in ENTITIES if key in found):
        if not suffix or len("_".join([*parts, part])) <= LONGEST:
            parts.append(part)
    folder = "/".join(part for part in parts if part.startswith(("sub-", "ses-")))
    return f"{folder}/anat/{'_'.join(parts)}"


def write_dataset(root: Location, *, version: str, sources: Mapping[str, str], authors: Sequence[str] = ()) -> None:
    """Write ``dataset_description.json``, ``README.md``, ``dseg.tsv`` and the sidecars: what this folder is, and what the labels mean.

    Parameters
    ----------
    root
        The derivatives folder; made when it is not there.
    version
        Version of hypojax.
    sources
        Datasets that the scans came from: the name of each, and its address where that may be told.
    authors
        Of these datasets, where they name any.
    """
    links = {visible(name): visible(address) for name, address in sources.items()}
    description: dict[str, object] = {
        "Name": "hypojax: hypothalamus and intracranial volume",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        **({"Authors": [*authors]} if authors else {}),
        "GeneratedBy": [{"Name": "hypojax", "Version": version, "Description": MADE}],
        **({"SourceDatasets": [_source(address) for address in links.values()], "DatasetLinks": links} if links else {}),
    }
    rows = [f"{value}\t{name}\t{_abbreviation(name)}\t{COLORS[(value - 1) % len(COLORS)]}" for value, name in LABELS.items()]
    place(root / "dataset_description.json", _json(description))
    place(root / "README.md", README.encode())
    place(root / "dseg.tsv", "\n".join(["index\tname\tabbreviation\tcolor", *rows, ""]).encode())
    if not (root / "mask.json").is_file():  # an earlier version wrote a sidecar for each image
        _remove_sidecars(root)
    for name, content in SIDECARS.items():
        place(root / name, _json({**content, **({"Sources": [f"bids:{dataset}:" for dataset in links]} if links else {})}))


def write_scan(root: Location, *, scan: str, maps: ScanMaps) -> dict[str, str]:
    """Write the label maps of one scan; writing twice gives the same bytes.

    Parameters
    ----------
    root
        The derivatives folder.
    scan
        Its id, which says where its files lie (`scan_stem`).
    maps
        The label maps and their geometry.

    Returns
    -------
    Key, below ``root``, of every image written → its SHA-256.
    """
    written: dict[str, str] = {}
    header = None if maps.header is None else bare_header(maps.header)
    for end, voxels in ((DSEG, maps.hypothalamus), (MASK, maps.intracranial)):
        key = f"{scan_stem(scan)}{end}.nii.gz"
        if voxels is None:
            remove(root / key)
        else:
            written[key] = write_nifti(root / key, voxels, maps.affine, header=header)
    return written


def remove_scan(root: Location, *, scan: str) -> None:
    """Remove the label maps of a scan that has none any more; nothing where there are none.

    Parameters
    ----------
    root
        The derivatives folder.
    scan
        Its id.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    for end in (DSEG, MASK):
        remove(root / f"{scan_stem(scan)}{end}.nii.gz")


def _source(address: str) -> dict[str, str]:
    """A dataset as BIDS names it.

    >>> _source("doi:10.18112/openneuro.ds000011.v1.0.0")
    {'DOI': 'doi:10.18112/openneuro.ds000011.v1.0.0'}
    """
    return {"DOI" if address.startswith("doi:") else "URL": address}


def _remove_sidecars(root: Location) -> None:
    """Remove the sidecars of single images, which those at the top replace."""
    for key in keys(root):
        if key.startswith("sub-") and key.endswith((f"{DSEG}.json", f"{MASK}.json")):
            remove(root / key)


def _abbreviation(name: str) -> str:
    """First letters: ``left_anterior_inferior`` → ``L-AI``."""
    side, *rest = name.split("_")
    return f"{side[0]}-{''.join(word[0] for word in rest)}".upper()


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
