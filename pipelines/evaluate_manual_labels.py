"""Compare the volumes of a cohort with manual label maps: Dice, surface distances, agreement, with confidence intervals by subject.

    python pipelines/evaluate_manual_labels.py out/ manual/ evaluation/ --by sex

OUT is the folder of a run; MANUAL holds label maps (BIDS derivatives, or images named like their scans, at any depth). EVALUATION receives
every scan's scores and their summary as tables and netCDF, and a page. A label map that cannot be compared is a row with its reason.
"""

import argparse
import sys
from pathlib import Path

import hypojax


def main(out: Path, manual: Path, evaluation: Path, *, by: list[str], participants: Path | None) -> None:
    """Evaluate, and print the figures of the whole hypothalamus."""
    found = hypojax.evaluate(out, manual, out=evaluation, by=by, participants=participants)
    whole = found.summary.sel(region="hypothalamus")
    for stratum in whole["stratum"].values:
        one = whole.sel(stratum=stratum)
        dice, low, high = (float(one[name].sel(metric="dice")) for name in ("mean", "mean_low", "mean_high"))
        print(f"{stratum}: {int(one['scored'])} scans, Dice {dice:.3f} ({low:.3f} to {high:.3f}), ICC(3,1) {float(one['icc31']):.3f}")
    print(*found.paths, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare label maps of a run with manual ones.")
    parser.add_argument("out", type=Path, help="folder of a run")
    parser.add_argument("manual", type=Path, help="folder of manual label maps")
    parser.add_argument("evaluation", type=Path, help="folder of the results")
    parser.add_argument("--by", nargs="*", default=[], help="columns to stratify by")
    parser.add_argument("--participants", type=Path, help="table with these columns")
    try:
        main(**vars(parser.parse_args()))
    except hypojax.HypojaxError as error:
        sys.exit(str(error))
