"""Throughput of the lazy pipeline beside that of `hypojax run`, on the same scans, and how far their volumes lie apart.

    python benchmarks/pipeline.py INPUT... [--batch 4] [--workers N]

Both begin with the files and end with a table, each in a folder of its own; `hypojax run` writes no label maps here, as the pipeline writes
none. Networks are compiled before, but for those of ``--workers``: so many Dask processes of this machine, else threads of this one.
Prints scans per second of both, their ratio, and the largest relative difference of any volume. 8 scans on two quiet cores
(AMD EPYC): 0.86, and no difference.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client

import hypojax
from hypojax.settings import RunSettings


def run(inputs: list[str], out: str) -> xr.Dataset:
    """The volumes of `hypojax run`."""
    hypojax.run(inputs, out=out, settings=RunSettings(derivatives=False))
    return hypojax.open_cohort(out)


def pipeline(inputs: list[str], out: str, *, batch: int) -> xr.Dataset:
    """The volumes of pipelines/segment_cohort.py."""
    hypojax.ingest(inputs, out)
    heads = hypojax.preprocess_cohort(hypojax.open_cohort(out), out, batch=batch)
    return hypojax.measure_cohort(hypojax.segment_cohort(heads)).compute()


def timed(what: str, work: Callable[[], xr.Dataset]) -> tuple[float, xr.Dataset]:
    """Scans per second, and the table."""
    start = time.perf_counter()
    table = work()
    pace = table.sizes["scan"] / (time.perf_counter() - start)
    print(f"{what:12s} {pace:6.2f} scans/s, {table.sizes['scan']} scans", flush=True)
    return pace, table


def main(inputs: list[str], *, batch: int, workers: int) -> None:
    """Measure and print."""
    hypojax.segment(hypojax.demonstration.sample_scan())
    with tempfile.TemporaryDirectory() as folder, Client(n_workers=workers) if workers else nullcontext():
        usual, expected = timed("hypojax run", lambda: run(inputs, str(Path(folder) / "run")))
        lazy, found = timed("pipeline", lambda: pipeline(inputs, str(Path(folder) / "pipeline"), batch=batch))
    apart = np.abs(found["volume_mm3"] / expected["volume_mm3"] - 1).max().item()
    print(f"ratio {lazy / usual:.2f}; volumes differ by {apart:.1e} at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="+")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--workers", type=int, default=0)
    main(**vars(parser.parse_args()))
