"""A small cohort store for the tests of `hypojax.store` and `hypojax.cohort`: one scan of every status."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hypojax import cohort
from hypojax.grid import Grid
from hypojax.reason import Reason
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, REGIONS
from hypojax.storage import Location
from hypojax.store import CohortStore, Native, Posterior, ScanEntry, StoredSegmentation

SETTINGS: Mapping[str, Any] = {"weights": "ab12", "box": {"spacing_mm": 1.0, "shape": (8, 8, 8)}}
PROVENANCE: Mapping[str, Any] = {"hypojax_version": "0.1.0", "weights_sha256": "ab12", "device": "cpu"}

DONE, STRIPPED, FAILED, PENDING, UNTOUCHED = "sub-01", "sub-02", "sub-03", "sub-04", "sub-05"


def native(seed: int = 0, *, dtype: str = "<i2", shape: tuple[int, int, int] = (9, 70, 5)) -> Native:
    """A scan with random voxels of any dtype; half of it is zero, as air is."""
    generator = np.random.default_rng(seed)
    voxels = np.frombuffer(generator.bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape).copy()
    voxels[: shape[0] // 2] = 0
    affine = generator.normal(size=(4, 4))
    affine[3] = (0, 0, 0, 1)
    return Native(voxels, affine, slope=0.1, intercept=-1 / 3, header=generator.bytes(348), format="nifti1", nonfinite=3)


def segmented(seed: int = 0, *, shape: tuple[int, int, int] = (9, 70, 5)) -> StoredSegmentation:
    """A segmentation with random labels."""
    generator = np.random.default_rng(seed)
    head, box = np.zeros(HEAD_SHAPE, np.uint8), np.zeros((10, *BOX_SHAPE), np.uint8)
    head[:6, :7, :8], box[:, :8, :8, :8] = generator.integers(0, 256, (6, 7, 8)), generator.integers(0, 256, (10, 8, 8, 8))
    return StoredSegmentation(
        affine=np.diag([1.0, 2.0, 3.0, 1.0]),
        hypothalamus=generator.integers(0, 11, shape, np.uint8),
        intracranial=generator.integers(0, 2, shape, np.uint8),
        head=Posterior(Grid(HEAD_SHAPE, np.diag([2.0, 2.0, 2.0, 1.0])), head),
        box=Posterior(Grid(BOX_SHAPE, np.eye(4)), box),
        head_image=(head / 32 - 2).astype(np.float32),
        box_image=(box[0] / 32 - 5).astype(np.float32),
        mean=101.5,
        std=33.25,
    )


def regions(*, stripped: bool = False) -> dict[str, dict[str, Any]]:
    """A volume for every region; no intracranial volume where the skull is off."""
    known = {
        name: {"volume_mm3": 10.0 + number, "volume_hard_mm3": 9.0 + number, "uncertainty_mm3": 0.5} for number, name in enumerate(REGIONS)
    }
    return {**known, "icv": {"volume_mm3": 1e6, "missing_reason": Reason.SKULL_STRIPPED}} if stripped else known


def row() -> dict[str, Any]:
    """Other columns of a scan."""
    return {
        "quality_certainty": 0.9,
        "nonfinite_voxels": 3,
        "voxel_size_mm": (1.0, 1.0, 2.0),
        "seconds": 1.5,
        "flags": ("noisy",),
    }


def entries(folder: str = "/data") -> list[ScanEntry]:
    """Inputs of the small store, in no order."""
    ages: dict[str, int | None] = {DONE: 31, STRIPPED: 52, FAILED: None, PENDING: 40, UNTOUCHED: 23}
    return [
        ScanEntry(
            scan=scan,
            path=f"{folder}/{scan}_T1w.nii.gz",
            entities={"subject": scan[4:]},
            columns={"age": age, "group": "control", "status": "enrolled"},
        )
        for scan, age in reversed(ages.items())
    ]


def small_store(root: Location) -> CohortStore:
    """Two finished scans (one without skull), a failed, an ingested and an untouched one, and the table."""
    store = CohortStore.create(root, scans=entries(), settings=SETTINGS, provenance=PROVENANCE)
    for seed, scan in enumerate((DONE, STRIPPED)):
        store.write_native(scan, native(seed))
        store.write_segmentation(scan, segmented(seed))
        store.commit(scan, status="done", row=row(), regions=regions(stripped=scan == STRIPPED))
    store.commit(FAILED, status="failed", reason=Reason.TRUNCATED, message=f"scan {FAILED!r}: the file ends early;\tcopy it again")
    store.write_native(PENDING, native(3))
    store.commit(PENDING, status="pending", row={"nonfinite_voxels": 3})
    store.write_table(cohort.build(store.records(), store.scans))
    return store


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
