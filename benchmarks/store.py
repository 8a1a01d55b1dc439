"""Codecs of the cohort store side by side on one real scan: time, size, and how many flipped bits they let through.

    python benchmarks/store.py ../shared/data/scans/studyforrest_T1w.nii.gz

The scan is cut to its middle 256 x 256 x 256 voxels where it is larger. Codecs take turns, so that whatever else the
machine does meets all of them; times are medians. Every codec writes one shard of 64-voxel chunks into memory, which
is what `hypojax.store` does before it places the bytes; the last lines time the store itself, disk included.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import zarr
from jaxtyping import Num
from zarr.abc.buffer import Buffer
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from hypojax.grid import Grid
from hypojax.scans import Image, read
from hypojax.schema import BOX_SHAPE, HEAD_SHAPE, REGIONS
from hypojax.store import CohortStore, Posterior, ScanEntry, StoredSegmentation

SIDE = 256
SHARD = "c/0/0/0"


def blosc(name: str, level: int, shuffle: Literal["shuffle", "bitshuffle"]) -> BloscCodec:
    """A Blosc codec by the name of its compressor."""
    return BloscCodec(cname=name, clevel=level, shuffle=shuffle)


CODECS: dict[str, Any] = {
    "Zarr's default (zstd)": "auto",
    "zstd 1, checksum": ZstdCodec(level=1, checksum=True),
    "zstd 3, checksum": ZstdCodec(level=3, checksum=True),
    "blosc lz4, shuffle": blosc("lz4", 5, "shuffle"),
    "blosc lz4, shuffle + crc32c": (blosc("lz4", 5, "shuffle"), Crc32cCodec()),
    "blosc lz4, bitshuffle": blosc("lz4", 5, "bitshuffle"),
    "blosc lz4, bitshuffle + crc32c": (blosc("lz4", 5, "bitshuffle"), Crc32cCodec()),
    "blosc zstd 1, bitshuffle + crc32c": (blosc("zstd", 1, "bitshuffle"), Crc32cCodec()),
}


@dataclass
class Measured:
    """What one codec did: milliseconds of every round, bytes, flipped bits nobody noticed."""

    write: list[float]
    read: list[float]
    size: int = 0
    unnoticed: int = 0


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("scan", type=Path, help="a T1w scan")
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--flips", type=int, default=20)
    chosen = arguments.parse_args()
    image = middle(read("scan", chosen.scan))
    print(machine())
    print(f"{chosen.scan.name}: {'x'.join(map(str, image.voxels.shape))} {image.voxels.dtype}, {image.voxels.nbytes / 1e6:.1f} MB\n")
    print(f"{'codec':36}{'write ms':>9}{'read ms':>9}{'MB':>7}{'unnoticed of ' + str(chosen.flips) + ' flipped bits':>32}")
    for name, found in compare(image.voxels, rounds=chosen.rounds, flips=chosen.flips).items():
        print(f"{name:36}{median(found.write):9.0f}{median(found.read):9.0f}{found.size / 1e6:7.1f}{found.unnoticed:32}")
    print()
    for name, times in whole_store(image, rounds=chosen.rounds).items():
        print(f"{name:52}{median(times):7.0f} ms (from {min(times):.0f} to {max(times):.0f})")


def machine() -> str:
    """Hardware and versions."""
    names = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(":")[1].strip() for line in names if line.startswith("model name")), platform.processor())
    cores = sum(line.startswith("processor") for line in names)
    packages = ", ".join(f"{name} {version(name)}" for name in ("zarr", "numcodecs", "numpy"))
    return f"{processor}, {cores} cores; Python {platform.python_version()}, {packages}"


def middle(image: Image) -> Image:
    """The middle of a scan, at most 256 voxels along each axis."""
    spans = tuple(slice(max(0, (n - SIDE) // 2), max(0, (n - SIDE) // 2) + min(n, SIDE)) for n in image.voxels.shape)
    return Image(image.voxels[spans], image.affine, image.slope, image.intercept, image.header, image.format, image.nonfinite)


def compare(voxels: Num[np.ndarray, "i j k"], *, rounds: int, flips: int) -> dict[str, Measured]:
    """Every codec in turn, round by round; then the flipped bits."""
    results = {name: Measured([], []) for name in CODECS}
    for _ in range(rounds):
        for name, codec in CODECS.items():
            memory, spent = timed(lambda codec=codec: encode(voxels, codec))
            results[name].write.append(spent)
            results[name].read.append(timed(lambda memory=memory: decode(memory))[1])
            results[name].size = sum(len(buffer) for buffer in memory.values())
    for name, codec in CODECS.items():
        memory = encode(voxels, codec)
        results[name].unnoticed = sum(unnoticed(memory, seed, voxels) for seed in range(flips))
    return results


def encode(voxels: Num[np.ndarray, "i j k"], codec: object) -> dict[str, Buffer]:
    """One array as objects in memory."""
    memory: dict[str, Buffer] = {}
    shard = tuple(-(-length // 64) * 64 for length in voxels.shape)
    options: dict[str, Any] = {"shape": voxels.shape, "dtype": voxels.dtype, "chunks": (64, 64, 64), "shards": shard}
    options = {**options, "compressors": codec, "config": {"write_empty_chunks": True}}
    zarr.create_array(MemoryStore(memory), **options)[...] = voxels
    return memory


def decode(memory: dict[str, Buffer]) -> Num[np.ndarray, "i j k"]:
    """The array back."""
    return np.asarray(zarr.open_array(MemoryStore(memory), mode="r")[...])


def unnoticed(memory: dict[str, Buffer], seed: int, voxels: Num[np.ndarray, "i j k"]) -> bool:
    """Whether one flipped bit of the shard gives other voxels and no error."""
    data = bytearray(memory[SHARD].to_bytes())
    bit = int(np.random.default_rng(seed).integers(8 * len(data)))
    data[bit // 8] ^= 1 << bit % 8
    damaged = default_buffer_prototype().buffer.from_bytes(bytes(data))
    try:
        return not np.array_equal(decode({**memory, SHARD: damaged}), voxels)
    except Exception:  # noqa: BLE001  (a codec that notices may raise anything)
        return False


def whole_store(image: Image, *, rounds: int) -> dict[str, Sequence[float]]:
    """The store's own operations, on disk, one scan a round."""
    names = [f"sub-{number:02}" for number in range(rounds)]
    segmented = example(image)
    regions = {region: {"volume_mm3": 1.0} for region in REGIONS}
    with tempfile.TemporaryDirectory() as folder:
        entries = [ScanEntry(scan=name, path=name, entities={}, columns={}) for name in names]
        store = CohortStore.create(Path(folder) / "cohort.zarr", scans=entries, settings={})
        steps: dict[str, Callable[[str], object]] = {
            "write_native": lambda scan: store.write_native(scan, image),
            "write_segmentation": lambda scan: store.write_segmentation(scan, segmented),
            "commit (waits for the disk)": lambda scan: store.commit(scan, status="done", regions=regions),
            "read_native": store.read_native,
            "read_segmentation": store.read_segmentation,
        }
        times = {name: [timed(lambda step=step, scan=scan: step(scan))[1] for scan in names] for name, step in steps.items()}
        return {**times, f"verify, {rounds} scans": [timed(store.verify)[1]]}


def example(image: Image) -> StoredSegmentation:
    """A segmentation of the right sizes: an ellipsoid for a brain, a small one for a hypothalamus."""
    along = np.meshgrid(*[np.linspace(-1, 1, length, dtype=np.float32) for length in image.voxels.shape], indexing="ij", sparse=True)
    radius = sum(axis**2 for axis in along)
    noise = np.random.default_rng(0).integers(0, 256, (10, *BOX_SHAPE), np.uint8)
    return StoredSegmentation(
        affine=image.affine,
        hypothalamus=(radius < 0.002).astype(np.uint8),
        intracranial=(radius < 0.5).astype(np.uint8),
        head=Posterior(Grid(HEAD_SHAPE, np.eye(4)), np.zeros(HEAD_SHAPE, np.uint8)),
        box=Posterior(Grid(BOX_SHAPE, np.eye(4)), noise),
        head_image=np.zeros(HEAD_SHAPE, np.float32),
        box_image=np.zeros(BOX_SHAPE, np.float32),
        mean=0.0,
        std=1.0,
    )


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work gives, and its milliseconds."""
    start = time.perf_counter()
    result = work()
    return result, 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
