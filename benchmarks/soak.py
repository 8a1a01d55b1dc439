"""A thousand scans in one run, one in twenty of them broken: every one accounted for, and memory that stays where it was.

    python benchmarks/soak.py ../shared/data/bids/ds000011 ../shared/data/scans --out figures.json
    python benchmarks/soak.py SCANS ... --run-options "--cluster local --workers 2"
    python benchmarks/soak.py SCANS ... --keep soak/        # interrupted, the same command goes on where it stopped

Real scans are linked under new names; the broken ones are copies broken in the ways of `benchmarks/inputs.py`. At the end every input
must have exactly one row, every broken one the reason that fits and every sound one its volumes, equal for links to one scan, and
``hypojax verify`` must find nothing. About 20 minutes on two cores. Exit code 1 when something of that is not so or a bar is missed.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from figures import Figure, add, machine
from inputs import broken, linked, real_scans
from watched import HYPOJAX, Run, watch

BROKEN: Final = 0.05
EARLY: Final = 50
"""Scan from which on memory must not grow: by then the largest scans have been through."""

STEP: Final = 50
"""Scans between two points of the curve."""


def inputs(folders: list[Path], out: Path, *, count: int) -> tuple[Path, dict[str, frozenset[str]], dict[str, str]]:
    """The folder of scans, made where it is not there; broken scans with the reasons that fit; sound ones with their file."""
    folder, scans, bad = out / "in", real_scans(folders), round(BROKEN * count)
    if not folder.exists():
        linked(scans, folder, count=count - bad)
        expected = broken(scans[0], folder, count=bad)
    else:
        with tempfile.TemporaryDirectory() as elsewhere:
            expected = broken(scans[0], Path(elsewhere), count=bad)
    links = [path for path in folder.iterdir() if path.is_symlink()]
    sound = {path.name.removesuffix("_T1w.nii.gz"): str(path.readlink()) for path in links}
    return folder, expected, {name: file for name, file in sound.items() if name not in expected}


def wrong(out: Path, expected: Mapping[str, frozenset[str]], sound: Mapping[str, str]) -> list[str]:
    """Whatever is not as it must be, a sentence each."""
    from hypojax.cohort import open_cohort

    cohort = open_cohort(out)
    rows = Counter(str(scan) for scan in cohort.scan.values)
    found = [f"{scan}: {rows[scan]} rows" for scan in {*expected, *sound, *rows} if rows[scan] != 1 or scan not in {*expected, *sound}]
    if found:
        return found
    status = dict(zip(cohort.scan.values.tolist(), zip(cohort.status.values, cohort.reason.values, strict=True), strict=True))
    found += [f"{scan}: {status[scan]}, not {set(reasons)}" for scan, reasons in expected.items() if not fits(status[scan], reasons)]
    found += [f"{scan}: {status[scan]}" for scan in sound if status[scan][0] != "done"]
    volumes: dict[str, set[float]] = {}
    for scan, file in sound.items():
        volumes.setdefault(file, set()).add(float(cohort.volume_mm3.sel(scan=scan, region="hypothalamus")))
    return found + [f"{file}: volumes {sorted(values)}" for file, values in volumes.items() if len(values) != 1]


def fits(status: tuple[str, str], reasons: frozenset[str]) -> bool:
    """Whether a scan failed as it should."""
    return status[0] == "failed" and status[1] in reasons


def figures(run: Run, out: Path, *, count: int) -> list[Figure]:
    """Pace and memory of the run."""
    records = [path for path in out.glob("cohort.zarr/ledger/*/zarr.json") if path.stat().st_mtime >= run.start]
    times = sorted(path.stat().st_mtime for path in records)
    points = sorted({*range(STEP, len(times), STEP), len(times)})
    curve = [[n, n / (times[n - 1] - run.start), run.resident_at(times[n - 1]) / 1e6] for n in points]
    early, late = (median_resident(run, times, at) for at in (EARLY, len(times)))
    detail = {"resident_mb_early": early / 1e6, "resident_mb_late": late / 1e6, "peak_mb": run.peak / 1e6, "curve": curve}
    growth = Figure("memory", f"resident memory at scan {len(times)} against scan {EARLY}", late / early, "times", most=1.1, detail=detail)
    rate = Figure("soak", f"{count} scans, {BROKEN:.0%} broken, in one run", len(times) / run.seconds, "scans/s")
    return [rate, growth] if len(times) > EARLY else [rate]


def median_resident(run: Run, times: list[float], at: int) -> float:
    """Resident size while the twenty scans up to one were committed, median: a scan's own size comes and goes."""
    start, end = times[max(0, at - 20)], times[min(at, len(times)) - 1]
    seen = sorted(look.resident for look in run.looks if start <= look.time <= end) or [run.resident_at(end)]
    return float(seen[len(seen) // 2])


def soak(chosen: argparse.Namespace, folder: Path) -> int:
    """Run, look at every row, verify."""
    source, expected, sound = inputs(chosen.folders, folder, count=chosen.scans)
    out = folder / "out"
    run = watch([*HYPOJAX, "run", str(source), str(out), *chosen.run_options.split()]).checked(2 if expected else 0)
    measured = figures(run, out, count=chosen.scans)
    add(chosen.out, measured)
    problems = wrong(out, expected, sound)
    if watch([*HYPOJAX, "verify", str(out)]).code:
        problems.append("hypojax verify finds damage")
    for problem in problems[:20]:
        print(f"WRONG {problem}")
    print(f"{len(sound)} sound and {len(expected)} broken scans: {'all accounted for' if not problems else f'{len(problems)} are wrong'}")
    return int(bool(problems) or not all(figure.met for figure in measured))


def main() -> int:
    """Soak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="SCANS")
    parser.add_argument("--scans", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="JSON file to add the figures to")
    parser.add_argument("--keep", type=Path, help="folder for inputs and output, which is kept and gone on with")
    parser.add_argument("--run-options", default="", help="further options of hypojax run")
    chosen = parser.parse_args()
    told: dict[str, Any] = machine()
    print(f"{told['processor']}, {told['memory_gb']} GB; Python {told['python']}, {told['versions']}", flush=True)
    if chosen.keep:
        return soak(chosen, chosen.keep)
    with tempfile.TemporaryDirectory(prefix="hypojax-soak-") as folder:
        return soak(chosen, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
