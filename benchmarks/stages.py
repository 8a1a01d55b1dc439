"""What a real scan costs: processor time by stage, cold and warm, and whether memory stays flat over many scans.

    python benchmarks/stages.py SCAN [SCAN ...] [--turns 3] [--many 30] [--out FILE.json]

Every scan goes the way that `hypojax run` goes (`hypojax.execute.pipeline`), in one thread, so that processor time of this process
belongs to the stage at work, whichever threads it used. A stage is a function, less the stages that it calls. Processor time hardly
depends on what else the machine does; to compare two versions, let them take turns all the same.
"""

import argparse
import json
import platform
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final

import psutil

MEGABYTE: Final = 1e6

STAGES: Final = {
    "read (gzip, CRC, checks)": ("hypojax.execute.pipeline", "read"),
    "refuse label maps": ("hypojax.execute.pipeline", "refuse_label_map"),
    "checksum of voxels": ("hypojax.scans.voxels", "Image.checksum"),
    "store native voxels": ("hypojax.store.cohort_store", "CohortStore.write_native"),
    "scale to float32": ("hypojax.execute.pipeline", "intensities"),
    "mend the background": ("hypojax.preprocessing.foreground", "mended"),
    "find the head": ("hypojax.preprocessing.foreground", "find_head"),
    "sample and z-score the head": ("hypojax.segmenter.segmenter", "Segmenter.prepare"),
    "head network": ("hypojax.segmenter.segmenter", "Segmenter._look"),
    "box network": ("hypojax.segmenter.devices", "Batch.run"),
    "sample the box": ("hypojax.segmenter.segmenter", "box_input"),
    "between the networks": ("hypojax.segmenter.segmenter", "Segmenter.segment_batch"),
    "clean the head": ("hypojax.volumes.measure", "clean_intracranial"),
    "clean the box": ("hypojax.volumes.measure", "clean_hypothalamus"),
    "native labels": ("hypojax.volumes.measure", "native_labels"),
    "native mask": ("hypojax.volumes.measure", "native_mask"),
    "coarse head": ("hypojax.volumes.measure", "coarse_head"),
    "quality and flags": ("hypojax.execute.pipeline", "measure_scan"),
    "store segmentation": ("hypojax.store.cohort_store", "CohortStore.write_segmentation"),
    "write two NIfTI maps": ("hypojax.execute.pipeline", "write_scan"),
    "commit (digests, fsync)": ("hypojax.store.cohort_store", "CohortStore.commit"),
}
"""Stage → module and name of the function that it is."""

NETWORKS: Final = ("head network", "box network")
REST: Final = "everything else"


class Stages:
    """Processor seconds of each stage, scan by scan."""

    def __init__(self) -> None:
        self.scans: list[dict[str, float]] = []
        self._open = [REST]
        self._since = time.process_time()

    def wrap(self) -> None:
        """Have the functions of `STAGES` count from now on."""
        for stage, (module, name) in STAGES.items():
            owner: Any = import_module(module)
            *path, last = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            function = getattr(owner, last)
            counting = self._counted(stage, function)
            setattr(owner, last, staticmethod(counting) if isinstance(vars(owner)[last], staticmethod) else counting)

    @contextmanager
    def scan(self) -> Iterator[None]:
        """Count one scan."""
        self.scans.append(defaultdict(float))
        self._since = time.process_time()
        yield
        self._turn()

    def _turn(self) -> None:
        """Give the time since the last change to the stage that is at work."""
        now = time.process_time()
        self.scans[-1][self._open[-1]] += now - self._since
        self._since = now

    def _counted(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            # The head network runs by the method that runs the box network too: what calls it says which it is.
            own = self._open[-1] if self._open[-1] == "head network" else stage
            self._turn()
            self._open.append(own)
            try:
                return function(*arguments, **named)
            finally:
                self._turn()
                self._open.pop()

        return counted

    def show(self, *, cold: int) -> dict[str, float]:
        """Print the first scan, and medians of all after the first ``cold``; give seconds of a scan in the networks, and in all else."""
        print(f"{'processor time by stage':30s} {'cold ms':>9s} {'warm ms':>9s}")
        first, warm = self.scans[0], self.scans[cold:]
        for stage in [*STAGES, REST]:
            print(f"{stage:30s} {1e3 * first[stage]:9.0f} {1e3 * statistics.median(scan[stage] for scan in warm):9.1f}")
        networks, total = self._sum(warm, NETWORKS), self._sum(warm, [*STAGES, REST])
        print(f"{'a scan':30s} {1e3 * sum(first.values()):9.0f} {1e3 * total:9.1f}")
        print(f"{'of which networks':30s} {'':9s} {1e3 * networks:9.1f}")
        print(f"{'of which all else':30s} {'':9s} {1e3 * (total - networks):9.1f}")
        return {"networks": networks, "all_else": total - networks}

    @staticmethod
    def _sum(scans: Sequence[dict[str, float]], stages: Sequence[str]) -> float:
        """Median over scans of what some stages take together."""
        return statistics.median(sum(scan[stage] for stage in stages) for scan in scans)


def resident() -> float:
    """Resident size of this process, MB."""
    return float(psutil.Process().memory_info().rss / MEGABYTE)


def peak() -> float:
    """Highest resident size so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE


def one_scan(path: Path, network: Any, folder: Path) -> None:
    """One scan from its file to its record."""
    from hypojax.execute.output import open_for
    from hypojax.execute.pipeline import Item, Pipeline
    from hypojax.settings import RunSettings
    from hypojax.store import ScanEntry

    scan = path.name.split(".")[0]
    entry = ScanEntry(scan=scan, path=str(path), entities={}, columns={})
    pipeline = Pipeline(open_for([entry], out=folder, settings=RunSettings(), network=network), folder / "derivatives", network)
    (item,) = pipeline.segment([pipeline.prepare(Item(scan), network)], network, batch=1)
    result = pipeline.finish(item)
    assert result.status == "done", result


def main() -> None:
    """Print the stages, then memory over many scans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--turns", type=int, default=3, help="times that every scan is measured")
    parser.add_argument("--many", type=int, default=0, help="scans after which memory is looked at")
    parser.add_argument("--out", type=Path, help="JSON file for what networks and all else take")
    chosen = parser.parse_args()
    versions = {name: metadata.version(name) for name in ("hypojax", "jax", "zarr", "numpy", "isal")}
    print(f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}, {versions}")
    start = time.process_time()
    from hypojax.segmenter.segmenter import Segmenter
    from hypojax.store import limit_threads

    limit_threads(2)
    network = Segmenter.load()
    print(f"import, load weights: {time.process_time() - start:.2f} processor-seconds")
    stages, sizes = Stages(), []
    stages.wrap()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(max(chosen.many, 1 + chosen.turns * len(chosen.scans))):
            with stages.scan():
                one_scan(chosen.scans[turn % len(chosen.scans)], network, Path(folder) / str(turn))
            sizes.append(resident())
    found = stages.show(cold=1)
    if chosen.out:
        chosen.out.write_text(json.dumps(found), encoding="utf-8")
    print(f"{len(sizes)} scans: resident {sizes[min(2, len(sizes) - 1)]:.0f} MB after the third, {sizes[-1]:.0f} MB, peak {peak():.0f} MB")


if __name__ == "__main__":
    main()
