"""What a real scan costs, stage by stage, cold and warm; and whether memory stays flat over many scans.

    python benchmarks/stages.py SCAN [SCAN ...] [--many 30]

Milliseconds and megabytes (growth of the process's resident size and its peak) of each stage of the line for the first scan, first
in a fresh process (cold: reading libraries, compiling) and then as the median of five more (warm). After that all scans
go down the whole line in turn, ``--many`` times in all.
"""

import argparse
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

MEGABYTE = 1e6


class Stages:
    """Times and resident sizes by stage."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.sizes: dict[str, list[float]] = {}
        self.networks: list[float] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure one stage."""
        before, start = resident(), time.perf_counter()
        yield
        self.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
        self.sizes.setdefault(name, []).append(resident() - before)

    def show(self) -> None:
        """Print cold (first) and warm (median of the rest)."""
        print(f"{'stage':24s} {'cold ms':>9s} {'warm ms':>9s} {'cold MB':>9s} {'warm MB':>9s}")
        for name, times in self.times.items():
            sizes = self.sizes[name]
            warm = (statistics.median(times[1:]), statistics.median(sizes[1:])) if len(times) > 1 else (float("nan"),) * 2
            print(f"{name:24s} {times[0]:9.0f} {warm[0]:9.0f} {sizes[0]:9.0f} {warm[1]:9.0f}")
        total = sum(statistics.median(times[1:]) for times in self.times.values() if len(times) > 1)
        print(f"{'warm, whole line':24s} {'':9s} {total:9.0f}   peak resident {peak():.0f} MB")
        networks = statistics.median(self.networks[1:])
        print(f"{'of which networks':24s} {'':9s} {networks:9.0f}   {networks / total:.0%}")


def resident() -> float:
    """Resident size of this process, MB."""
    return float(psutil.Process().memory_info().rss / MEGABYTE)


def peak() -> float:
    """Highest resident size so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE


def one_line(stages: Stages, path: Path, *, segmenter: Callable[[], Any], folder: Path) -> None:
    """One scan through every stage."""
    from hypojax.execute.measured import full_row, region_entries, row_of, stored_form
    from hypojax.scans import read, write_nifti
    from hypojax.store import CohortStore
    from hypojax.volumes import measure

    scan = path.name.split(".")[0]
    store = CohortStore.create(
        folder / "cohort.zarr", scans=[{"scan": scan, "path": str(path), "entities": {}, "columns": {}}], settings={}
    )
    with stages.stage("read (gzip, CRC, checks)"):
        image = read(scan, path)
    with stages.stage("store native voxels"):
        store.write_native(scan, image)
    with stages.stage("scale to float32"):
        volume = image.scaled()
    with stages.stage("segment (both stages)"):
        found = segmenter().segment(volume, image.affine)
    stages.networks.append(1e3 * found.device_seconds)
    with stages.stage("measure, native labels"):
        measured = measure(
            volume,
            image.affine,
            head_grid=found.head_grid,
            intracranial=found.intracranial,
            box_grid=found.box_grid,
            subunits=found.subunits,
        )
    with stages.stage("store segmentation"):
        store.write_segmentation(scan, stored_form(image.affine, found, measured))
    with stages.stage("write two NIfTI maps"):
        write_nifti(folder / "dseg.nii.gz", measured.hypothalamus, image.affine, header=image.header)
        write_nifti(folder / "mask.nii.gz", measured.intracranial, image.affine, header=image.header)
    with stages.stage("commit (digests, fsync)"):
        row = full_row(row_of(image), measured, seconds=0.0)
        store.commit(scan, status="done", row=row, regions=region_entries(measured))


def main() -> None:
    """Print the stages of the first scan, then memory over many."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--many", type=int, default=30)
    chosen = parser.parse_args()
    versions = {name: metadata.version(name) for name in ("hypojax", "jax", "zarr", "numpy", "isal")}
    print(f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    stages = Stages()
    with stages.stage("import, load weights"):
        from hypojax.segmenter.segmenter import Segmenter
        from hypojax.store import limit_threads

        limit_threads(2)
        loaded = Segmenter.load()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(6):
            one_line(stages, chosen.scans[0], segmenter=lambda: loaded, folder=Path(folder) / str(turn))
        stages.show()
        sizes, start = [], time.perf_counter()
        for turn in range(chosen.many):
            one_line(Stages(), chosen.scans[turn % len(chosen.scans)], segmenter=lambda: loaded, folder=Path(folder) / f"many{turn}")
            sizes.append(resident())
        seconds = (time.perf_counter() - start) / chosen.many
    if len(sizes) > 3:
        memory = f"after the 3rd {sizes[2]:.0f} MB, after the last {sizes[-1]:.0f} MB, peak {peak():.0f} MB"
        print(f"{chosen.many} scans: {seconds:.2f} s a scan; resident {memory}")


if __name__ == "__main__":
    main()
