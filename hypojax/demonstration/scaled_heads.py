"""A small cohort with a known answer, made from the one scan that ships with hypojax.

Colin27 (`hypojax/demonstration`) is deformed smoothly round its hypothalamus, so that everything within `CORE_MM` of the
centre shrinks or grows by a known factor, and its voxels are scaled, so that the whole head does. A second group has a
hypothalamus of `GROUP_FACTOR` times the first group's. What `hypojax run` then measures can be held against that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr
from jaxtyping import Float32, UInt8

from hypojax.demonstration.radial_map import RadialMap, deformed
from hypojax.grid import Affine
from hypojax.scans import Image, read, write_nifti
from hypojax.storage import Disk, on_disk

if TYPE_CHECKING:
    from hypojax.execute import Callback, Outcome

CENTRE_MM: Final = (0.8, -1.0, -11.6)
"""Middle of the hypothalamus in the sample scan, mm, RAS+; no voxel of it is farther than 10 mm."""

CORE_MM: Final = 12.0
"""Radius, before the deformation, within which it is a pure scaling; covers the hypothalamus."""

RIM_MM: Final = 28.0
"""Radius beyond which nothing moves."""

GROUP_FACTOR: Final = 0.8
"""Hypothalamus volume of the second group over that of the first, head size aside."""

NOISE: Final = 1.0
"""Standard deviation of the noise added to every scan, in grey values (white matter lies near 80)."""


@dataclass(frozen=True)
class Subject:
    """One member of the cohort and the truth about it.

    Parameters
    ----------
    name
        Subject label.
    group
        ``reference`` or ``smaller``.
    hypothalamus
        Volume of the hypothalamus over that of the sample scan, before the head is scaled.
    head
        Length of every edge of the head over that of the sample scan.
    """

    name: str
    group: str
    hypothalamus: float
    head: float

    @property
    def known(self) -> dict[str, float]:
        """Region → known volume over that of the sample scan."""
        return {"hypothalamus": self.hypothalamus * self.head**3, "icv": self.head**3}


COHORT: Final = tuple(
    Subject(f"{number:02d}", group, factor * size, head)
    for number, (group, factor, size, head) in enumerate(
        [
            (group, factor, size, head)
            for group, factor in (("reference", 1.0), ("smaller", GROUP_FACTOR))
            for size, head in ((1.0, 1.0), (1.05, 1.04), (0.95, 0.97))
        ],
        start=1,
    )
)
"""Three subjects a group; the second group is the first with a smaller hypothalamus."""


def sample_scan() -> Path:
    """Path of the scan that ships with hypojax (Colin27, 1 mm, uint8; its notice lies beside it in ``COPYING``)."""
    return Path(str(resources.files("hypojax") / "demonstration" / "colin27_T1w.nii.gz"))


def deform(voxels: UInt8[np.ndarray, "i j k"], affine: Affine, *, factor: float) -> Float32[np.ndarray, "i j k"]:
    """Change the volume of the hypothalamus by ``factor`` and nothing beyond `RIM_MM` of its centre.

    Parameters
    ----------
    voxels, affine
        The sample scan.
    factor
        Volume after over volume before.
    """
    result, _ = deformed(voxels.astype(np.float32), affine, by=RadialMap(CENTRE_MM, CORE_MM, RIM_MM, factor))
    return result


def write_cohort(folder: Disk, *, subjects: Sequence[Subject] = COHORT) -> Path:
    """Write the cohort as a small BIDS dataset and return its folder; the same bytes each time."""
    scan, folder = read("colin27", sample_scan()), on_disk(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, subject in enumerate(subjects):
        path = folder / f"sub-{subject.name}" / "anat" / f"sub-{subject.name}_T1w.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(path, _voxels(scan, subject, seed=number), _scaled(scan.affine, subject.head), slope=1.0, intercept=0.0)
    rows = [f"sub-{s.name}\t{s.group}\t{s.known['hypothalamus']:.6f}\t{s.known['icv']:.6f}" for s in subjects]
    table = ["participant_id\tgroup\tknown_hypothalamus_ratio\tknown_icv_ratio", *rows]
    (folder / "participants.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    (folder / "dataset_description.json").write_text('{"Name": "hypojax demo", "BIDSVersion": "1.10.0"}\n', encoding="utf-8")
    return folder


def _voxels(scan: Image, subject: Subject, *, seed: int) -> UInt8[np.ndarray, "i j k"]:
    """The scan of one subject: deformed, with noise of its own where there is signal."""
    deformed = deform(scan.voxels, scan.affine, factor=subject.hypothalamus)
    noise = np.random.default_rng(seed).normal(0, NOISE, deformed.shape) * (deformed > 0)
    return np.clip(np.round(deformed + noise), 0, 255).astype(np.uint8)


def _scaled(affine: Affine, head: float) -> Affine:
    """Scale the world about the origin: every voxel edge and every position by ``head``."""
    return np.diag([head, head, head, 1.0]) @ affine


@dataclass(frozen=True)
class Comparison:
    """Measured against known, for one region of one scan, both over the first scan.

    Parameters
    ----------
    scan, group, region
        What is compared.
    known
        Ratio of volumes that the deformation and the scaling give.
    measured
        Ratio of soft volumes that the run gave; NaN where one is missing.
    """

    scan: str
    group: str
    region: str
    known: float
    measured: float


def compare(cohort: xr.Dataset, *, subjects: Sequence[Subject] = COHORT) -> list[Comparison]:
    """Hold the volumes of a run over `write_cohort` against the truth."""
    first = subjects[0]
    rows = []
    for region in ("hypothalamus", "icv"):
        volume = cohort["volume_mm3"].sel(region=region)
        reference = float(volume.sel(scan=f"sub-{first.name}"))
        rows += [
            Comparison(
                scan=f"sub-{subject.name}",
                group=subject.group,
                region=region,
                known=subject.known[region] / first.known[region],
                measured=float(volume.sel(scan=f"sub-{subject.name}")) / reference,
            )
            for subject in subjects
        ]
    return rows


def group_ratio(cohort: xr.Dataset, *, subjects: Sequence[Subject] = COHORT) -> float:
    """Hypothalamus over intracranial volume, mean of the second group over mean of the first; known: `GROUP_FACTOR`."""
    share = cohort["volume_mm3"].sel(region="hypothalamus") / cohort["volume_mm3"].sel(region="icv")
    means = [
        float(share.sel(scan=[f"sub-{subject.name}" for subject in subjects if subject.group == group]).mean())
        for group in ("reference", "smaller")
    ]
    return means[1] / means[0]


@dataclass(frozen=True)
class Demonstration:
    """The demo's cohort, the run over it, and what it measured beside what is known.

    Parameters
    ----------
    bids, results
        Folders of the scans and of the run.
    outcome
        What became of each scan.
    comparisons
        Measured against known, a scan and region each; none where a scan failed.
    measured
        Hypothalamus over intracranial volume, second group over first; `GROUP_FACTOR` is known. None where a scan failed.
    """

    bids: Path
    results: Path
    outcome: "Outcome"
    comparisons: tuple[Comparison, ...] = ()
    measured: float | None = None


def demo(out: Disk = "hypojax-demo", *, callback: "Callback | None" = None) -> Demonstration:
    """Make a small cohort with a known answer from the scan that ships with hypojax, run on it, compare: ``hypojax demo``.

    Parameters
    ----------
    out
        Folder for the cohort (``bids``) and the results (``results``).
    callback
        Called as the run proceeds.

    Raises
    ------
    RunError
        As `hypojax.run`.

    Examples
    --------
    >>> demo("hypojax-demo").measured  # doctest: +SKIP
    0.79
    """
    from hypojax.cohort import open_cohort  # here, as the run: whoever wants the sample scan alone does not wait for them
    from hypojax.execute import run

    bids, results = write_cohort(on_disk(out) / "bids"), on_disk(out) / "results"
    made = Demonstration(bids, results, run(bids, results, callback=callback))
    if made.outcome.failed:
        return made
    cohort = open_cohort(results)
    return replace(made, comparisons=tuple(compare(cohort)), measured=group_ratio(cohort))
