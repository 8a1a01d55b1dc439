"""How fast a real scan is decoded with its checksum verified, beside nibabel, which verifies none.

    python benchmarks/decode.py ../shared/data/bids/ds000011/sub-01/anat/sub-01_T1w.nii.gz

Both in one process, in turns, the file warm in the page cache; medians. The values are first found equal.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np

from hypojax.scans import read

TARGET: Final = 1.5
"""Times faster than nibabel's `get_fdata` that decoding with checksum has to be."""

PACKAGES: Final = ("isal", "nibabel", "numpy")


def processor() -> str:
    """Name of the processor, and how many of its cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def milliseconds(work: Callable[[], object]) -> float:
    """Wall time of one call, ms."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def contestants(path: Path) -> dict[str, Callable[[], object]]:
    """What is timed, by name; the first is what the others are held against."""
    return {
        "nibabel get_fdata (no checksum, float64)": lambda: nib.Nifti1Image.from_filename(path).get_fdata(),
        "nibabel dataobj (no checksum, stored type)": lambda: np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj),
        "hypojax read (checksum, stored type)": lambda: read("scan", path),
        "hypojax read + scaled (checksum, float32)": lambda: read("scan", path).scaled(),
    }


def medians(path: Path, *, repeats: int) -> dict[str, float]:
    """Median time of each contestant, ms, taking turns so that a busy machine slows all alike."""
    work = contestants(path)
    times = [{name: milliseconds(call) for name, call in work.items()} for _ in range(repeats + 1)][1:]
    return {name: statistics.median(turn[name] for turn in times) for name in work}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path, nargs="+", help="a .nii.gz file")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    print(
        f"{processor()}; load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in PACKAGES),
        sep=", ",
    )
    for path in arguments.scan:
        image = read("scan", path)
        assert np.array_equal(image.scaled(), nib.Nifti1Image.from_filename(path).get_fdata().astype(np.float32))
        sizes = f"{path.stat().st_size / 1e6:.1f} MB to {image.voxels.nbytes / 1e6:.1f} MB of {image.voxels.dtype}"
        print(f"\n{path.name}: {sizes}, median of {arguments.repeats}")
        table = medians(path, repeats=arguments.repeats)
        base = next(iter(table.values()))
        for name, taken in table.items():
            print(f"  {name:44s} {taken:7.1f} ms   {base / taken:5.2f} x")
        ratio = base / table["hypojax read (checksum, stored type)"]
        print(f"  decoding is {ratio:.2f} times as fast as nibabel's (target {TARGET}: {'met' if ratio >= TARGET else 'MISSED'})")


if __name__ == "__main__":
    main()
