"""What a cohort takes on the disk and in time: files, bytes, seconds to write a scan, to open, to verify, to add ten scans.

    python benchmarks/store_size.py --scans 1000

Scans are made up (native voxels of 48 x 48 x 48, posteriors and images of the real shapes), so that the figures are those of the store
and not of a network. It runs with older versions too: put their folder into PYTHONPATH.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import hypojax.store as store_room
from hypojax import cohort
from hypojax.grid import Grid
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, REGIONS
from hypojax.store import CohortStore, Native, Posterior, ScanEntry, verify

SHAPE = (48, 48, 48)
Segmentation: Any = getattr(store_room, "StoredSegmentation", None) or store_room.Segmented  # type: ignore[attr-defined]
NEW = hasattr(store_room, "StoredSegmentation")


def entry(number: int) -> ScanEntry:
    """One input."""
    return ScanEntry(scan=f"sub-{number:05}", path=f"/data/sub-{number:05}_T1w.nii.gz", entities={}, columns={"age": number % 80})


def native() -> Native:
    """A scan: noise in the middle half, as heads lie in air."""
    voxels = np.zeros(SHAPE, np.int16)
    voxels[12:36, 12:36, 12:36] = np.random.default_rng(0).integers(0, 900, (24, 24, 24))
    return Native(voxels, np.eye(4), 1.0, 0.0, b"\0" * 348, "nifti1", 0)


def segmentation() -> Any:
    """Label maps, posteriors and images."""
    generator = np.random.default_rng(1)
    head, box = np.zeros(HEAD_SHAPE, np.uint8), np.zeros((10, *BOX_SHAPE), np.uint8)
    head[30:80, 30:80, 25:70] = 255
    box[:, 15:25, 15:25, 15:25] = generator.integers(0, 256, (10, 10, 10, 10))
    images = {
        "head_image": np.where(head > 0, generator.normal(size=HEAD_SHAPE), -2).astype(np.float32),
        "box_image": generator.normal(size=BOX_SHAPE).astype(np.float32),
    }
    return Segmentation(
        affine=np.eye(4), hypothalamus=np.ones(SHAPE, np.uint8), intracranial=np.ones(SHAPE, np.uint8),
        head=Posterior(Grid(HEAD_SHAPE, np.eye(4)), head), box=Posterior(Grid(BOX_SHAPE, np.eye(4)), box),
        mean=1.0, std=1.0, **(images if NEW else {}),
    )  # fmt: skip


def write(root: Path, numbers: range) -> CohortStore:
    """Add scans, and write the table."""
    store = CohortStore.create(root, scans=[entry(number) for number in numbers], settings={"weights": "none"})
    image, found = native(), segmentation()
    regions = {name: {"volume_mm3": 1.0, "volume_hard_mm3": 1.0, "uncertainty_mm3": 0.1} for name in REGIONS}
    for number in numbers:
        scan = f"sub-{number:05}"
        store.begin(scan)
        store.write_native(scan, image)
        store.write_segmentation(scan, found)
        store.commit(scan, status="done", row={"seconds": 1.0}, regions=regions)
    store.write_table(cohort.build(store.records(), store.scans))
    return store


def timed(step: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=1000)
    count = parser.parse_args().scans
    root = Path(tempfile.mkdtemp()) / "out" / "cohort.zarr"
    made = timed(lambda: write(root, range(count)))
    files = [path for path in root.rglob("*") if path.is_file()]
    folders = sum(path.is_dir() for path in root.rglob("*"))
    before = {
        "files a scan": len(files) / count,
        "folders a scan": folders / count,
        "bytes a scan": sum(path.stat().st_size for path in files) / count,
        "seconds to write a scan": made / count,
        "seconds to open": timed(lambda: xr.open_zarr(root)),
        "seconds to open_cohort": timed(lambda: cohort.open_cohort(root)),
        "seconds to verify": timed(lambda: verify(root)),
        "seconds to add 10 scans": timed(lambda: write(root, range(count, count + 10))),
    }
    print(json.dumps({name: round(value, 4) for name, value in before.items()}, indent=1))
    shutil.rmtree(root.parent.parent)


if __name__ == "__main__":
    main()
