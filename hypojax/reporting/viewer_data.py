"""What the viewer of a scan's page shows: its box, and where it is asked for its head, as NIfTI in a plain script.

A page that is opened from a folder may not fetch files, so the volumes stand as base64 in a script beside it. They lie in the world of
the scan (mm, RAS+), so that the viewer's crosshair shows its coordinates. Intensities are 8 bits. Labels of the box are those of the
section pictures (`hypojax.plot.sections`), two steps a voxel, to which the viewer interpolates the intensities too; those of the head
have a voxel of 2 mm each, so that a browser that draws without a graphics card can show it.
"""

import base64
import gzip
import json
from typing import Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float32, Float64, Int, UInt8
from scipy import ndimage

from hypojax.grid import Affine, Grid, to_voxel, to_world
from hypojax.plot.sections import FINE, ScanBox
from hypojax.reporting.scan_images import ScanImages
from hypojax.scans.nifti_file import nifti_image
from hypojax.schema import BOX_SHAPE, HEAD_IMAGE_RANGE, HEAD_SHAPE, LABELS, SUBUNITS
from hypojax.volumes.structure import clean_intracranial

NAME: Final = "hypojaxViewer"
"""The variable of the page that the script sets."""

INTRACRANIAL: Final = len(LABELS) + 1
"""Label of the outline of the intracranial volume."""

HEAD_WINDOW: Final = (2.0, 99.5)
"""Percentiles of the head that are drawn black and white."""

ARRAYS: Final = ["head_image", "head_posterior", "head_affine", "box_affine", "volume_mm3"]
"""What a head is made from."""

COMPRESSION: Final = 6
"""Of gzip; 9 takes three times as long for one per cent less."""


def viewer_script(images: ScanImages, *, whole_head: bool = False) -> bytes:
    """The script that gives the viewer its volumes; empty where the scan has no labels to show.

    Parameters
    ----------
    images
        Of the scan.
    whole_head
        Whether the head with its face is a part of it.

    Raises
    ------
    ScanError
        What is stored of the scan cannot be read.
    """
    volumes = viewer_volumes(images, whole_head=whole_head)
    return f"window.{NAME}={json.dumps(volumes, separators=(',', ':'))};\n".encode() if volumes else b""


def viewer_volumes(images: ScanImages, *, whole_head: bool = False) -> dict[str, Any]:
    """The volumes by name, ``box`` and ``head``, as JSON has them; parameters and errors as `viewer_script`.

    Each has ``image`` and ``labels`` (gzipped NIfTI, base64), ``window`` (values of ``image`` that are black and white), and ``centre``,
    where the viewer begins: a place within the left hypothalamus (the right one where there is no left) next to its middle, mm, RAS+.
    """
    cohort, scan, box = images.cohort, images.scan, images.box
    if box is None:
        return {}
    affine = cohort["box_affine"].sel(scan=scan).values.astype(np.float64)
    grey, window = _grey(box.image, box.window)
    centre = to_world(affine, _middle(box.labels) / FINE)
    coded = {"image": _nifti(grey, affine), "labels": _nifti(box.labels, fine_affine(affine))}
    volumes = {"box": {**coded, "window": window, "centre": np.round(centre, 3).tolist()}}
    return {**volumes, "head": _head(cohort, scan, box, centre)} if whole_head else volumes


def fine_affine(affine: Affine) -> Affine:
    """The matrix of a grid with `FINE` steps a voxel, from the middle of the first voxel to the middle of the last.

    >>> fine_affine(np.diag([2.0, 2.0, 2.0, 1.0])).diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    fine = affine.copy()
    fine[:3, :3] /= FINE
    return fine


def _middle(labels: UInt8[np.ndarray, "u v w"]) -> Int[np.ndarray, "3"]:
    """The labelled voxel next to the middle of one side."""
    left = (labels > 0) & (labels <= len(SUBUNITS))
    index = np.argwhere(left if left.any() else labels > 0)
    return index[np.argmin(((index - index.mean(axis=0)) ** 2).sum(axis=1))]


def _head(cohort: xr.Dataset, scan: str, box: ScanBox, centre: Float64[np.ndarray, "3"]) -> dict[str, Any]:
    """The head, with the outline of the intracranial volume where that was measured, and the labels of the box."""
    row = cohort[ARRAYS].sel(scan=scan).compute(scheduler="synchronous")
    grid = Grid(HEAD_SHAPE, row["head_affine"].values.astype(np.float64))
    low, high = HEAD_IMAGE_RANGE
    image = row["head_image"].values
    black, white = np.percentile(image, HEAD_WINDOW)
    grey, window = _grey(np.append(image, np.array([low, high], np.float32)), (float(black), float(white)))
    labels = np.zeros(grid.shape, np.uint8)
    if np.isfinite(row["volume_mm3"].sel(region="icv").item()):
        posterior = np.round(row["head_posterior"].values * 255).astype(np.uint8)
        mask = clean_intracranial(posterior, grid, np.ones(grid.shape, bool)) > 0.5
        labels[mask & ~ndimage.binary_erosion(mask)] = INTRACRANIAL
    _put(box, row["box_affine"].values.astype(np.float64), labels, grid.affine)
    coded = {"image": _nifti(grey[:-2].reshape(image.shape), grid.affine), "labels": _nifti(labels, grid.affine)}
    return {**coded, "window": window, "centre": np.round(centre, 3).tolist()}


def _put(box: ScanBox, box_affine: Affine, labels: UInt8[np.ndarray, "u v w"], affine: Affine) -> None:
    """Write the labels of the box into a label map of the head, each voxel the nearest one."""
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in BOX_SHAPE], indexing="ij"), axis=-1).reshape(-1, 3)
    reach = to_voxel(affine, to_world(box_affine, corners))
    low = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, labels.shape)
    high = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, 0, labels.shape)
    index = np.stack(np.meshgrid(*[np.arange(*ends) for ends in zip(low, high, strict=True)], indexing="ij"), axis=-1)
    within = np.round(to_voxel(fine_affine(box_affine), to_world(affine, index))).astype(int)
    inside = np.all((within >= 0) & (within < np.array(box.labels.shape)), axis=-1)
    found = np.zeros(inside.shape, np.uint8)
    found[inside] = box.labels[tuple(within[inside].T)]
    part = labels[tuple(slice(*ends) for ends in zip(low, high, strict=True))]
    part[found > 0] = found[found > 0]


def _grey(image: Float32[np.ndarray, "*n"], window: tuple[float, float]) -> tuple[UInt8[np.ndarray, "*n"], list[int]]:
    """Intensities as 256 steps from the darkest to the brightest, and the window in these steps."""
    low, high = float(image.min()), float(image.max())
    scale = 255 / max(high - low, 1e-6)
    black, white = (round((value - low) * scale) for value in window)
    return np.round((image - low) * scale).astype(np.uint8), [black, max(white, black + 1)]


def _nifti(voxels: UInt8[np.ndarray, "a s r"], affine: Affine) -> str:
    """Voxels as gzipped NIfTI in base64: the same bytes whenever it is made."""
    return base64.b64encode(gzip.compress(nifti_image(voxels, affine).to_bytes(), COMPRESSION, mtime=0)).decode()
