"""Look at a cohort step by step: which scans are doubtful and why, figures for a paper, and pages for a browser.

    python pipelines/report_cohort.py out/
    python pipelines/report_cohort.py s3://bucket/out --out report/ --scans flagged

OUT is the folder of a run. The pages go to OUT/report, the figures into its folder figures/; `hypojax report OUT --serve` lets you rate
scans on the pages. For another drawing: `hypojax.plot` gives matplotlib axes, and `hypojax.open_cohort` an xarray Dataset.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import hypojax
from hypojax.reporting.doubts import doubt_order, find_doubts

MOST = 10
"""Doubtful scans that are listed."""


def main(place: str, *, out: Path | None, scans: Sequence[str]) -> None:
    """Find doubtful scans, say why they are, draw the pages."""
    cohort = hypojax.open_cohort(place)
    doubts = find_doubts(cohort)
    doubtful = [scan for scan in doubt_order(cohort, doubts) if doubts[scan]]
    print(f"{len(doubtful)} of {cohort.sizes['scan']} scans are doubtful")
    for scan in doubtful[:MOST]:
        print(scan, *doubts[scan], sep="\n    ")
    found = hypojax.report(place, out=out, settings=hypojax.ReportSettings(scans=tuple(scans)))
    print(*found.notes, *found.sentences, sep="\n")
    print(f"open {found.index.resolve().as_uri()} in a browser")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Look at a cohort.")
    parser.add_argument("place", help="folder of a run, or its URL")
    parser.add_argument("--out", type=Path, help="folder for the pages")
    parser.add_argument("--scans", nargs="*", default=(), help="scans that get a page: all, flagged, or names")
    try:
        main(**vars(parser.parse_args()))
    except hypojax.HypojaxError as error:
        sys.exit(str(error))
