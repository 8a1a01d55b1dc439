"""What a report costs: seconds and bytes of a page, the page of a large cohort, and 1,000 scans with the default settings.

    OMP_NUM_THREADS=1 python benchmarks/report.py SOURCE [--scans 1000] [--large 10000] [--out FOLDER]

SOURCE is the folder of a run with images, whose scans are drawn again and again under other names. One process draws, with
one thread. Processor seconds are given besides those of the clock: they do not depend on what else the machine does.

What issue 15 asks for: 0.3 s and 600 kB a page, 60 MB for 1,000 scans with the default settings, 5 MB for the index of 10,000 scans.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import dask
import numpy as np
import xarray as xr

import hypojax
from hypojax.reporting.cohort_page import cohort_page
from hypojax.reporting.page_workers import draw_page
from hypojax.reporting.report_data import ReportSettings, report_data
from hypojax.reporting.report_run import write_report

SPREAD = 0.08
"""Of the volumes of the many scans, relative."""


def many(cohort: xr.Dataset, scans: int) -> xr.Dataset:
    """So many scans, made of those of a cohort, whose volumes differ as those of people do."""
    measured = cohort.isel(scan=np.flatnonzero((cohort["status"] == "done").values))
    rows = np.arange(scans) % measured.sizes["scan"]
    found = measured.isel(scan=rows).assign_coords(scan=np.array([f"sub-{number:05d}" for number in range(scans)], object))
    spread = np.exp(np.random.default_rng(0).normal(0, SPREAD, (scans, measured.sizes["region"])))
    clean = found.flagged & (np.random.default_rng(1).random((scans, 1)) < 0.1)
    return found.assign(
        volume_mm3=found.volume_mm3 * spread, flagged=clean, duplicate_of=found.duplicate_of.copy(data=np.full(scans, "", object))
    )


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def pages(cohort: xr.Dataset, folder: Path) -> dict[str, float]:
    """Seconds and bytes of the pages of a cohort, the first of which is not counted: it loads what the others use."""
    data = report_data(cohort, ReportSettings(scans=("all",)))
    first, *others = list(data.files)
    draw_page(data, first, folder)
    start, processor = time.perf_counter(), time.process_time()
    drawn = [draw_page(data, scan, folder) for scan in others]
    assert not any(result.failed for result in drawn), drawn
    each = [sum(result.files.values()) for result in drawn]
    return {
        "pages": len(drawn),
        "seconds a page": (time.perf_counter() - start) / len(drawn),
        "processor seconds a page": (time.process_time() - processor) / len(drawn),
        "kB a page": sum(each) / len(each) / 1000,
        "kB of the largest page": max(each) / 1000,
    }


def whole(cohort: xr.Dataset, folder: Path) -> dict[str, float]:
    """A report with the default settings."""
    start = time.perf_counter()
    found = write_report(report_data(cohort, ReportSettings()), folder)
    return {
        "scans": cohort.sizes["scan"],
        "pages": found.pages,
        "seconds": time.perf_counter() - start,
        "MB": size(folder) / 1e6,
        "MB of the index": found.index.stat().st_size / 1e6,
    }


def index(cohort: xr.Dataset) -> dict[str, float]:
    """The page of a large cohort alone."""
    start = time.perf_counter()
    data = report_data(cohort, ReportSettings())
    read = time.perf_counter() - start
    return {
        "scans": cohort.sizes["scan"],
        "seconds to read and to find doubts": read,
        "doubtful": sum(bool(found) for found in data.doubts.values()),
        "MB of the index": len(cohort_page(data)) / 1e6,
        "seconds": time.perf_counter() - start,
    }


def main(source: str, *, scans: int, large: int, out: str | None) -> None:
    """Measure, a JSON line a table."""
    cohort = hypojax.open_cohort(source)
    folder = Path(out or tempfile.mkdtemp(prefix="hypojax-report-"))
    with dask.config.set(scheduler="synchronous"):
        for name, table in (
            ("pages", lambda: pages(cohort, folder / "pages")),
            ("default", lambda: whole(many(cohort, scans), folder / "default")),
            ("large", lambda: index(many(cohort, large))),
        ):
            print(json.dumps({name: {key: round(value, 3) for key, value in table().items()}}))
            sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("source", help="folder of a run")
    parser.add_argument("--scans", type=int, default=1000, help="of the report with the default settings")
    parser.add_argument("--large", type=int, default=10000, help="of the page of a large cohort")
    parser.add_argument("--out", help="folder for the pages")
    main(**vars(parser.parse_args()))
