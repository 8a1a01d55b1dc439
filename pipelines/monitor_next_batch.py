"""Segment the next batch of scans into a cohort of its own, and say whether its volumes or its quality have moved.

    python pipelines/monitor_next_batch.py reference/ new-scans/ new/

REFERENCE is the folder of a run that is trusted; NEW-SCANS are the images that came since; NEW receives their cohort and ``drift/`` with a
table and a page. Run it after every delivery, with cron for example: exit code 2 where something moved, 0 where not.
"""

import argparse
import sys
from pathlib import Path

import hypojax


def main(reference: Path, scans: list[str], new: Path) -> int:
    """Run, compare, print what moved."""
    outcome = hypojax.run(scans, out=new)
    print(f"{outcome.done} scans done, {outcome.failed} failed")
    found = hypojax.drift(reference, new, out=new / "drift")
    print(*found.notes, *(f"moved: {one.measure.name}" for one in found.moved), *found.paths, sep="\n")
    return 2 if found.moved else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare a new batch of scans with a trusted cohort.")
    parser.add_argument("reference", type=Path, help="folder of a run")
    parser.add_argument("scans", nargs="+", help="new scans: BIDS datasets, folders, files")
    parser.add_argument("new", type=Path, help="folder for their cohort")
    try:
        sys.exit(main(**vars(parser.parse_args())))
    except hypojax.HypojaxError as error:
        sys.exit(str(error))
