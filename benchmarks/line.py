"""What every stage of the line costs for real scans, cold and warm, and whether memory stays flat over thirty of them.

    python benchmarks/line.py SCAN [SCAN ...] [--weights FOLDER]

Prints, for each scan, milliseconds (wall, processor) and resident megabytes after each stage, first as a fresh process meets it and
then warm; then runs the first scan thirty times through `hypojax.run` and prints seconds a scan and memory at the 3rd and 30th.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jax
import psutil

from hypojax import execute
from hypojax.derivatives import write_scan
from hypojax.execute import record
from hypojax.scans import read
from hypojax.segment import Segmenter
from hypojax.store import CohortStore, ScanEntry

REPEATS: Final = 30
MEGABYTE: Final = 1e6


class Laps:
    """Wall and processor milliseconds and resident megabytes of one stage after the other."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float, float]] = []

    def __call__(self, name: str, stage: Callable[[], Any]) -> Any:
        """Do a stage and note what it cost."""
        wall, processor = time.perf_counter(), time.process_time()
        result = stage()
        self.rows.append((name, (time.perf_counter() - wall) * 1e3, (time.process_time() - processor) * 1e3, resident()))
        return result

    def show(self, title: str) -> None:
        """Print the stages and their sum."""
        print(f"\n{title}\n{'stage':<22}{'wall ms':>9}{'cpu ms':>9}{'MB':>7}")
        for name, wall, processor, megabytes in self.rows:
            print(f"{name:<22}{wall:>9.0f}{processor:>9.0f}{megabytes:>7.0f}")
        print(f"{'all':<22}{sum(row[1] for row in self.rows):>9.0f}{sum(row[2] for row in self.rows):>9.0f}")


class Memory:
    """A watch that notes resident memory after each scan."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self.seconds: list[float] = []

    def started(self, *, total: int, kept: int) -> None:
        """Nothing to note yet."""

    def finished(self, result: execute.ScanResult) -> None:
        """Note memory and time."""
        self.megabytes.append(resident())
        self.seconds.append(result.seconds)


def resident() -> float:
    """Resident memory of this process, megabytes."""
    return float(psutil.Process().memory_info().rss / MEGABYTE)


def one_scan(path: Path, segmenter: Segmenter, folder: Path) -> Laps:
    """Every stage of the line for one scan, in a store of its own."""
    store = CohortStore.create(folder / "cohort.zarr", scans=[ScanEntry(scan="a", path=str(path), entities={}, columns={})], settings={})
    lap = Laps()
    image = lap("decode", lambda: read("a", path))
    lap("store voxels", lambda: store.write_native("a", image))
    volume = lap("scale", image.scaled)
    segmentation = lap("segment", lambda: segmenter.segment_batch([(volume, image.affine)])[0])
    measured = lap("measure", lambda: record.measure_scan(volume, image.affine, segmentation))
    stored = lap("statistics", lambda: record.stored_form(volume, image.affine, segmentation, measured))
    lap("store segmentation", lambda: store.write_segmentation("a", stored))
    regions = record.region_entries(measured)
    maps = record.scan_maps(measured, regions, affine=image.affine, header=image.header)
    lap("BIDS derivatives", lambda: write_scan(folder, stem="sub-a/anat/sub-a", source=str(path), maps=maps, volumes={}))
    row = record.full_row(record.row_of(image), measured, seconds=0.0)
    lap("commit", lambda: store.commit("a", status="done", row=row, regions=regions))
    return lap


def thirty(path: Path, segmenter: Segmenter, folder: Path) -> None:
    """The whole line, thirty times the same scan."""
    table = folder / "scans.tsv"
    table.write_text("\n".join(["scan\tpath", *(f"{number:02d}\t{path.resolve()}" for number in range(REPEATS))]) + "\n")
    memory, start = Memory(), time.perf_counter()
    execute.run([table], out=folder / "out", segmenter=segmenter, watch=memory)
    print(f"\n{REPEATS} times {path.name}, file to volumes and derivatives: {(time.perf_counter() - start) / REPEATS:.2f} s a scan")
    print(f"resident memory after the 3rd scan {memory.megabytes[2]:.0f} MB, after the {REPEATS}th {memory.megabytes[-1]:.0f} MB")


def main(scans: list[Path], weights: Path | None) -> None:
    """Print the tables."""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, jax {jax.__version__}"
    )
    segmenter = Segmenter.load(weights)
    for temperature in ("cold", "warm"):
        for path in scans[:1] if temperature == "cold" else scans:
            with tempfile.TemporaryDirectory() as folder:
                one_scan(path, segmenter, Path(folder)).show(f"{path.name}, {temperature}")
    with tempfile.TemporaryDirectory() as folder:
        thirty(scans[0], segmenter, Path(folder))
    print(f"peak memory of it all {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What every stage of the line costs.")
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    given = parser.parse_args()
    main(given.scans, given.weights)
