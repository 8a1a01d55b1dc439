"""BIDS derivatives: the label maps of a scan on its own voxels, with sidecars that say where they come from.

The layout is that of BIDS derivatives 1.10: ``sub-01/ses-2/anat/sub-01_ses-2_run-1_space-orig_seg-hypothalamus_dseg.nii.gz``
and ``…_space-orig_label-ICV_mask.nii.gz``; one ``dseg.tsv`` at the top names the labels.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import UInt8

from hypojax.grid import Affine
from hypojax.scans.nifti_file import bare_header, write_nifti
from hypojax.schema import LABELS
from hypojax.storage import Location, file_digest, place, remove
from hypojax.visible import visible

BIDS_VERSION: Final = "1.10.0"
PROTOCOL: Final = "Subunits of the hypothalamus after Bocchetta 2015, as labelled by Billot 2020"

LABELLED: Final = "Label map of the hypothalamus on the voxels of the scan: 1 to 5 left, 6 to 10 right, as dseg.tsv names them"
MASKED: Final = "Mask of the intracranial volume on the voxels of the scan"
MADE: Final = "Segments the hypothalamus and the intracranial volume of T1-weighted MRI scans"

README: Final = """# Hypothalamus and intracranial volume

Made by hypojax from T1-weighted MRI scans (`DatasetLinks` of `dataset_description.json` says where they lie). Each scan has a label map of
the hypothalamus, `*_space-orig_seg-hypothalamus_dseg.nii.gz`, whose values `dseg.tsv` names, and a mask of the intracranial volume,
`*_space-orig_label-ICV_mask.nii.gz`, both on the voxels of the scan. Sidecars give the soft volumes in mm^3. Where the intracranial
volume cannot be known (the skull was removed, the head is cut off) there is no mask. A scan that failed has no files here; the table of
the cohort, `volumes.tsv`, says why.
"""
"""What the folder says of itself."""

ENTITIES: Final = ("ses", "task", "acq", "ce", "rec", "run", "echo", "part")
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
    """Write ``dataset_description.json``, ``README.md`` and ``dseg.tsv``: what this folder is, and what the labels mean.

    Parameters
    ----------
    root
        The derivatives folder; made when it is not there.
    version
        Version of hypojax.
    sources
        Datasets that the scans came from: the name that sidecars have for each, and its address.
    authors
        Of these datasets, where they name any.
    """
    description: dict[str, object] = {
        "Name": "hypojax: hypothalamus and intracranial volume",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        **({"Authors": [*authors]} if authors else {}),
        "GeneratedBy": [{"Name": "hypojax", "Version": version, "Description": MADE}],
        "SourceDatasets": [{"URL": visible(address)} for address in sources.values()],
        "DatasetLinks": {visible(name): visible(address) for name, address in sources.items()},
    }
    rows = [f"{value}\t{name}\t{_abbreviation(name)}\t{COLORS[(value - 1) % len(COLORS)]}" for value, name in LABELS.items()]
    place(root / "dataset_description.json", _json(description))
    place(root / "README.md", README.encode())
    place(root / "dseg.json", _json({"Description": LABELLED, "SpatialReference": "orig"}))
    place(root / "dseg.tsv", "\n".join(["index\tname\tabbreviation\tcolor", *rows, ""]).encode())


def write_scan(root: Location, *, stem: str, source: str, maps: ScanMaps, volumes: Mapping[str, float | None]) -> tuple[Location, ...]:
    """Write the label maps of one scan and their sidecars; writing twice gives the same bytes.

    Parameters
    ----------
    root
        The derivatives folder.
    stem
        Where the scan's files lie in it, from `scan_stem`.
    source
        The input file, as a BIDS URI.
    maps
        The label maps and their geometry.
    volumes
        Region → soft volume, mm³; None where it is missing.

    Returns
    -------
    The image files written.
    """
    regions = {name: volume for name, volume in volumes.items() if name != "icv"}
    hypothalamus, intracranial = _images(root, stem)
    _write_image(hypothalamus, maps.hypothalamus, maps, {**_sidecar(source, regions), "Description": LABELLED, "Atlas": PROTOCOL})
    if maps.intracranial is None:
        _remove(intracranial)
        return (hypothalamus,)
    about = {**_sidecar(source, {"icv": volumes.get("icv")}), "Description": MASKED, "Type": "Brain"}
    _write_image(intracranial, maps.intracranial, maps, about)
    return hypothalamus, intracranial


def remove_scan(root: Location, *, stem: str) -> None:
    """Remove the label maps of a scan that has none any more; nothing where there are none.

    Parameters
    ----------
    root
        The derivatives folder.
    stem
        Where the scan's files lie in it, from `scan_stem`.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    for image in _images(root, stem):
        _remove(image)


def scan_files(root: Location, *, stem: str) -> dict[str, str]:
    """Key, below ``root``, of every file of a scan that is there → its SHA-256."""
    found = {}
    for image in _images(root, stem):
        for path in (image, _sidecar_path(image)):
            with suppress(FileNotFoundError):
                found[f"{stem.rpartition('/')[0]}/{path.name}"] = file_digest(path)
    return found


def _images(root: Location, stem: str) -> tuple[Location, Location]:
    """Label map and intracranial mask of a scan."""
    return root / f"{stem}_space-orig_seg-hypothalamus_dseg.nii.gz", root / f"{stem}_space-orig_label-ICV_mask.nii.gz"


def _remove(image: Location) -> None:
    """Remove an image, then its sidecar, and what is left of either where a process died while it wrote them."""
    for path in (image, _sidecar_path(image)):
        remove(path)


def _write_image(path: Location, voxels: UInt8[np.ndarray, "i j k"], maps: ScanMaps, sidecar: Mapping[str, object]) -> None:
    """One label map with its sidecar, the image last, so that an image never lacks its description."""
    place(_sidecar_path(path), _json(sidecar))
    header = None if maps.header is None else bare_header(maps.header)
    write_nifti(path, voxels, maps.affine, header=header, slope=1.0, intercept=0.0)


def _sidecar(source: str, volumes: Mapping[str, float | None]) -> dict[str, object]:
    """What every map says about itself."""
    rounded = {name: None if volume is None else round(volume, 3) for name, volume in volumes.items()}
    return {"Sources": [visible(source)], "SpatialReference": "orig", "Manual": False, "SoftVolumes": rounded, "SoftVolumesUnits": "mm^3"}


def _sidecar_path(image: Location) -> Location:
    return image.with_name(image.name.removesuffix(".nii.gz") + ".json")


def _abbreviation(name: str) -> str:
    """First letters: ``left_anterior_inferior`` → ``L-AI``."""
    side, *rest = name.split("_")
    return f"{side[0]}-{''.join(word[0] for word in rest)}".upper()


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"
