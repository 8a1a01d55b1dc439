"""A stand-in for `hypojax.Segmenter` that needs no weights: it knows where the phantom lies and takes the posteriors from its formula.

It looks at the voxels only to refuse what a test tells it to refuse, so it checks the way of a scan, not a network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np

from hypojax.grid import Grid, centred_grid, model_directions
from hypojax.phantom import HYPOTHALAMUS_CENTRE, Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.preprocessing.foreground import Prepared, prepared
from hypojax.scans import write_nifti
from hypojax.segmenter.segmenter import Segmentation

AFFINE = np.array([[-5.0, 0, 0, 92.5], [0, 5, 0, -107.5], [0, 0, 5, -92.5], [0, 0, 0, 1]])
SHAPE = (38, 44, 38)
"""A phantom head in 5 mm voxels, LAS: small enough for a test, large enough for a hypothalamus."""

POISON = 4242.0
"""A voxel of this value makes the stand-in raise, as an unforeseen fault of a network would."""


@dataclass
class StandIn:
    """Segments phantoms.

    Parameters
    ----------
    weights
        What it says of its weights.
    batches
        Sizes of the batches it was given.
    batch
        Scans it segments at once.
    """

    weights: str = "stand-in"
    batches: list[int] = field(default_factory=list)
    batch: int = 1

    @property
    def provenance(self) -> Mapping[str, str]:
        return {"weights_head_sha256": self.weights, "weights_box_sha256": self.weights, "device": "none"}

    def prepare(self, volume: np.ndarray, affine: np.ndarray) -> Prepared:
        return prepared(volume, affine)

    def segment_batch(self, scans: Sequence[Prepared]) -> list[Segmentation]:
        self.batches.append(len(scans))
        if any((scan.volume == POISON).any() for scan in scans):
            raise ZeroDivisionError("poisoned")
        return [self.segment(scan) for scan in scans]

    def segment(self, scan: Prepared) -> Segmentation:
        axes = model_directions(scan.affine)
        _, anterior, superior = HYPOTHALAMUS_CENTRE
        head = scan.head.grid
        box = centred_grid(axes, shape=(40, 40, 40), spacing=1.0, centre=np.array([0.0, anterior, superior]))
        intracranial, _ = coverage(head.shape, head.affine.tobytes())
        _, subunits = coverage(box.shape, box.affine.tobytes())
        return Segmentation(
            head,
            intracranial,
            box,
            subunits,
            scan.head.statistics,
            located=1.0,
            views=np.tile(subunits.sum(axis=(1, 2, 3), dtype=np.float32) / np.float32(255), (2, 1)),
            head_image=scan.image,
            box_image=np.zeros(box.shape, np.float32),
            flags=scan.flags,
        )


@cache
def coverage(shape: tuple[int, int, int], affine: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors × 255 of the phantom on a grid; the same grid is asked for again and again."""
    return coverage_of(Phantom(), Grid(shape, np.frombuffer(affine).reshape(4, 4)))


def coverage_of(phantom: Phantom, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors × 255 of a phantom on a grid: intracranial, subunits."""
    whole = intracranial_coverage(phantom, shape=grid.shape, affine=grid.affine)
    parts = subunit_coverage(phantom, shape=grid.shape, affine=grid.affine)
    return np.round(whole * 255).astype(np.uint8), np.round(parts * 255).astype(np.uint8)


@cache
def phantom_voxels() -> np.ndarray:
    """Voxels of the phantom, int16."""
    return np.round(render(Phantom(noise=10.0), shape=SHAPE, affine=AFFINE)).astype(np.int16)


def write_phantom(path: Path, *, poison: bool = False, mark: int | None = None) -> Path:
    """A readable scan at ``path``; a poisoned one makes the stand-in raise.

    Two corner voxels differ from name to name, as scans do, unless ``mark`` says what they are.
    """
    voxels = phantom_voxels().copy()
    voxels[-1, -1, -2:] = divmod(crc32(path.name.encode()) % 10_000, 100) if mark is None else mark
    if poison:
        voxels[0, 0, 0] = int(POISON)
    write_nifti(path, voxels, AFFINE)
    return path
