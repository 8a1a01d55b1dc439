"""How much memory and disk a scan takes at least: the bounds that `hypojax.execute.budget` holds every run against before it starts.

    python benchmarks/bounds.py SCAN [SCAN ...]

For each scan the bytes of its voxels in the store, over those of its file and over those of its voxels decoded. Then what the first
scan adds to the resident memory of a process that has the weights loaded, its voxels left out: compiled networks and their buffers.
"""

import argparse
from pathlib import Path

import psutil

from hypojax.execute import load_segmenter
from hypojax.scans import Image, read
from hypojax.settings import RunSettings
from hypojax.store.arrays import native_objects


def resident() -> float:
    """Resident size of this process, MB."""
    return float(psutil.Process().memory_info().rss / 1e6)


def show_stored(path: Path) -> Image:
    """Print what one scan takes in the store."""
    image = read(path.name, path)
    stored, decoded = sum(map(len, native_objects(path.name, image).values())), image.voxels.nbytes
    print(f"{path.name:40s} {stored / 1e6:8.1f} MB stored, {stored / path.stat().st_size:.2f} of its file, {stored / decoded:.2f} decoded")
    return image


def main() -> None:
    """Print what scans take on the disk, and what the networks take in memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    image, *_ = [show_stored(path) for path in parser.parse_args().scans]
    network, volume = load_segmenter(RunSettings()), image.scaled()
    before = resident()
    network.segment_batch([(volume, image.affine)])
    print(f"networks: {before:.0f} MB with the weights loaded, {resident() - before:.0f} MB more after the first scan")


if __name__ == "__main__":
    main()
