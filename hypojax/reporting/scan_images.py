"""The images that a cohort holds of one scan: its box and its whole head, read once for all that a page shows of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float32, Int64

from hypojax.grid import Grid, to_voxel
from hypojax.plot.sections import ScanBox, missing_sentence, read_box
from hypojax.reason import Reason
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, HEAD_SPACING
from hypojax.volumes.flags import USUAL_ICV
from hypojax.volumes.structure import clean_intracranial

UNSURE: Final = (Reason.PARTLY_BLANK, Reason.NO_BRAIN)
"""Reasons of a missing intracranial volume with which its mask may run to anywhere."""

LARGEST: Final = 1.25 * USUAL_ICV[1]
"""mm³ beyond which a mask is taken to hold more than a cranium."""


@dataclass(frozen=True)
class ScanHead:
    """The whole head of one scan.

    Parameters
    ----------
    image
        Intensities (z-score), 2 mm.
    posterior
        Cleaned posterior of the intracranial volume.
    middle
        Voxel in the middle of the box, where the hypothalamus was found.
    missing_reason
        Why there is no intracranial volume; empty where there is one.
    """

    image: Float32[np.ndarray, "a s r"]
    posterior: Float32[np.ndarray, "a s r"]
    middle: Int64[np.ndarray, "3"]
    missing_reason: str

    @cached_property
    def level(self) -> float:
        """Posterior beyond which as many voxels lie as the soft volume amounts to, as in the label map."""
        counts = np.bincount(np.rint(self.posterior * 255).astype(np.uint8).ravel(), minlength=256)
        above = counts[::-1].cumsum()[::-1]
        return float(np.abs(above[1:] - float(self.posterior.sum(dtype=np.float64))).argmin() + 0.5) / 255

    @cached_property
    def mask(self) -> Bool[np.ndarray, "a s r"]:
        """The intracranial mask."""
        return self.posterior > self.level

    @property
    def fault(self) -> str:
        """Why nothing says where the face is; empty where the mask does."""
        millilitres = np.count_nonzero(self.mask) * HEAD_SPACING**3 / 1000
        if not millilitres:
            return "no intracranial mask was found"
        if self.missing_reason in UNSURE:
            return f"the intracranial mask is not to be relied on ({self.missing_reason.replace('_', ' ')})"
        return f"the intracranial mask holds {millilitres:,.0f} mL, more than a cranium" if millilitres > LARGEST / 1000 else ""


@dataclass(frozen=True, eq=False)
class ScanImages:
    """Images of one scan, each read when it is first asked for.

    Reading raises a ScanError where what is stored cannot be read.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        The scan's id.
    """

    cohort: xr.Dataset
    scan: str

    @cached_property
    def box(self) -> ScanBox | None:
        """The box round the hypothalamus, with labels; None where no hypothalamus is stored (`missing`)."""
        return read_box(self.cohort, self.scan)

    @cached_property
    def head(self) -> ScanHead | None:
        """The whole head; None where none is stored."""
        return read_head(self.cohort, self.scan)

    @cached_property
    def missing(self) -> str:
        """Why there are no pictures, in a sentence; empty where there are some."""
        return missing_sentence(self.cohort, self.scan, read=lambda: self.box)


def read_head(cohort: xr.Dataset, scan: str) -> ScanHead | None:
    """The head of a scan of a cohort; None where none is stored.

    Parameters
    ----------
    cohort
        As `hypojax.open_cohort` gives it.
    scan
        Its id.

    Raises
    ------
    ScanError
        What is stored of it cannot be read.
    """
    row = cohort[["head_image", "head_posterior", "head_affine", "box_affine", "missing_reason"]].sel(scan=scan)
    row = row.compute(scheduler="synchronous")
    image, posterior = row["head_image"].values, row["head_posterior"].values
    if np.isnan(image).any() or np.isnan(posterior).any():
        return None
    grid = Grid(HEAD_SHAPE, row["head_affine"].values.astype(np.float64))
    cleaned = clean_intracranial(np.rint(posterior * 255).astype(np.uint8), grid, np.ones(HEAD_SHAPE, bool))
    box = Grid(BOX_SHAPE, row["box_affine"].values.astype(np.float64))
    middle = np.clip(np.rint(to_voxel(grid.affine, box.centre)), 0, np.array(HEAD_SHAPE) - 1).astype(np.int64)
    return ScanHead(image, cleaned, middle, str(row["missing_reason"].sel(region="icv").item()))
