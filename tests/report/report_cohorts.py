"""Cohorts to draw reports of, made in a moment: in memory, and stored with images that look like heads."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from generated_cohort import generated

from hypojax import cohort
from hypojax.cohort.lazy_arrays import ARRAYS
from hypojax.grid import Grid
from hypojax.phantom import HYPOTHALAMUS_CENTRE, Phantom, intracranial_coverage, render, subunit_coverage
from hypojax.reason import Reason
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, PARTS, REGIONS
from hypojax.store import CohortStore, Native, Posterior, ScanEntry, StoredSegmentation
from hypojax.store.chunks import model_coordinates

HEAD_GRID = Grid(HEAD_SHAPE, np.array([[0, 0, 2.0, -95], [2, 0, 0, -111], [0, 2, 0, -111], [0, 0, 0, 1]], float))
BOX_GRID = Grid(
    BOX_SHAPE,
    np.array([[0, 0, 1.0, -19.5], [1, 0, 0, HYPOTHALAMUS_CENTRE[1] - 19.5], [0, 1, 0, HYPOTHALAMUS_CENTRE[2] - 19.5], [0, 0, 0, 1]], float),
)

FAILURES: Mapping[str, Reason] = {f"failed-{reason.value}": reason for reason in list(Reason)[1:23]}
"""A scan for every reason for which one fails."""

HOSTILE = '<script>alert("x")</script>\'&" javascript:alert(1) \x1b[31m </script> \u2028'
"""Text that no page may take as anything but text."""


def made_cohort(scans: int = 6, *, seed: int = 0, failing: float = 0.0, columns: Mapping[str, Sequence[Any]] | None = None) -> xr.Dataset:
    """A cohort as `hypojax.open_cohort` gives it, with images that are made when they are computed; ``columns``: of people."""
    table = generated(scans, seed=seed, failing=failing).assign(
        {name: ("scan", np.array(values)) for name, values in (columns or {}).items()}
    )
    arrays = dict(zip(("posterior", "image", "head_image", "head_posterior"), _decoded(), strict=True))
    lazy = {
        variable.name: xr.Variable(variable.dims, da.stack([da.from_array(arrays[variable.name], chunks=-1)] * scans), variable.attributes)
        for variable, *_ in ARRAYS
    }
    affines = {
        name: (("scan", "world", "voxel"), np.tile(grid.affine, (scans, 1, 1)))
        for name, grid in (("box_affine", BOX_GRID), ("head_affine", HEAD_GRID))
    }
    places = {
        name: value for name, value in model_coordinates().items() if name in {dim for values in lazy.values() for dim in values.dims}
    }
    found = table.drop_vars(["box_affine", "head_affine"]).assign(lazy).assign_coords({**places, **affines})
    return found.assign_attrs(hypojax="0.1.0", weights_head_sha256="ab" * 32, weights_box_sha256="cd" * 32)


def stored_cohort(
    folder: Path,
    scans: int = 3,
    *,
    failures: Mapping[str, Reason] | None = None,
    pending: Sequence[str] = (),
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    provenance: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """The output of a run: a store with so many measured scans, and those that failed or wait; ``columns``: scan → of its person."""
    names = [f"sub-{number:02d}" for number in range(1, scans + 1)]
    random = np.random.default_rng(seed)
    every = [*names, *(failures or {}), *pending]
    given = columns or {
        name: {"age": 20 + number, "sex": "FM"[number % 2], "group": "patient" if number % 3 else "control"}
        for number, name in enumerate(every)
    }
    entries = [
        ScanEntry(scan=name, path=f"/home/somebody/bids/{name}_T1w.nii.gz", entities={}, columns=dict(given.get(name, {})))
        for name in every
    ]
    made = {"hypojax": "0.1.0", "weights_head_sha256": "ab" * 32, "weights_box_sha256": "cd" * 32, **(provenance or {})}
    store = CohortStore.create(folder / "cohort.zarr", scans=entries, settings={"weights": "ab12"}, provenance=made)
    for name in names:
        store.write_native(name, _native())
        store.write_segmentation(name, _segmented())
        store.commit(name, status="done", row=_row(random), regions=_regions(random))
    for name, reason in (failures or {}).items():
        store.commit(name, status="failed", reason=reason, message=f"scan {name!r}: /home/somebody/{name}.nii is refused; see to it")
    table = cohort.build(store.records(), store.scans)
    store.write_table(table)
    cohort.export_table(table, folder)
    return folder


def _regions(random: np.random.Generator) -> dict[str, dict[str, Any]]:
    parts = random.normal(90, 8, 10)
    icv = random.normal(1.5e6, 1e5)
    volumes = [icv, parts.sum(), parts[:5].sum(), parts[5:].sum(), *parts]
    return {
        name: {
            "volume_mm3": float(volume),
            "volume_hard_mm3": float(round(volume)),
            "uncertainty_mm3": float(volume) * 0.02,
            "quality_score": 0.95,
        }
        for name, volume in zip(REGIONS, volumes, strict=True)
    }


def _row(random: np.random.Generator) -> dict[str, Any]:
    return {
        "quality_location": 0.97, "quality_certainty": float(random.normal(0.9, 0.01)), "quality_asymmetry": 0.01,
        "quality_contrast": 6.0, "quality_noise": 0.1, "extracranial_signal": 0.8, "icv_cut_off": 0.0, "nonfinite_voxels": 0,
        "voxel_size_mm": (1.0, 1.0, 1.0), "matrix": (9, 9, 9), "seconds": 1.5, "flags": (),
    }  # fmt: skip


@cache
def _arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Stored posteriors of head and box (uint8), and z-scored images of both: of the phantom."""
    phantom = Phantom(noise=15.0)
    head = intracranial_coverage(phantom, shape=HEAD_GRID.shape, affine=HEAD_GRID.affine)
    box = subunit_coverage(phantom, shape=BOX_GRID.shape, affine=BOX_GRID.affine)
    images = [render(phantom, shape=grid.shape, affine=grid.affine) for grid in (HEAD_GRID, BOX_GRID)]
    mean, spread = images[0][head > 0.5].mean(), images[0][head > 0.5].std()
    head_image, box_image = (((image - mean) / spread).astype(np.float32) for image in images)
    return np.rint(head * 255).astype(np.uint8), np.rint(box * 255).astype(np.uint8), head_image, box_image


def _decoded() -> tuple[np.ndarray, ...]:
    """Posterior of all regions, image, head image and head posterior, as a cohort shows them."""
    head, box, head_image, box_image = _arrays()
    posterior = np.full((len(REGIONS), *BOX_SHAPE), np.nan, np.float32)
    for number, region in enumerate(REGIONS):
        if region in PARTS:
            posterior[number] = box[[value - 1 for value in PARTS[region]]].sum(axis=0) / np.float32(255)
    return posterior, box_image, head_image, head / np.float32(255)


@cache
def _native() -> Native:
    """The smallest scan: reports are drawn from the arrays of the cohort."""
    return Native(np.zeros((4, 4, 4), np.int16), np.eye(4), slope=1.0, intercept=0.0, header=bytes(348), format="nifti1", nonfinite=0)


@cache
def _segmented() -> StoredSegmentation:
    head, box, head_image, box_image = _arrays()
    return StoredSegmentation(
        affine=np.eye(4),
        hypothalamus=np.zeros((4, 4, 4), np.uint8),
        intracranial=np.zeros((4, 4, 4), np.uint8),
        head=Posterior(HEAD_GRID, head),
        box=Posterior(BOX_GRID, box),
        head_image=head_image,
        box_image=box_image,
        mean=100.0,
        std=30.0,
    )
