"""How many scans a second, side by side in one run, against the bars that hypojax set itself.

    python benchmarks/throughput.py ../shared/data/bids/ds000011 ../shared/data/scans --out figures.json
    python benchmarks/throughput.py SCANS ... --only line,start --scans 30
    python benchmarks/throughput.py SCANS ... --only billot --torch-python env/bin/python --billot-weights hypothalamus_seg_model.h5

SCANS are folders of real T1-weighted scans; they are linked under new names as often as needed. Every figure comes from the command
line in processes of its own, watched from outside: when each scan was committed says how fast (the first quarter of a run, in which
networks are compiled and pages are read, is left out), processor time and resident memory come from the system. What is compared
takes turns (A B A B), so that whatever else the machine does meets both.

| row | what |
|---|---|
| line | the whole line on two cores; how busy they are |
| billot | the same against the Billot 2020 network in PyTorch, scan by scan |
| dask | `--cluster local --workers 1` against one process |
| workers | `--cluster local` with one core a worker: 1, 2, 4 ... as many as there are cores |
| start | from the start of the command to the first finished scan |
| table | `open_cohort` and a group-by over 100,000 scans |
| ledger | the same run once more when all is done: what the ledger costs a scan |
| networks | processor time of a scan in the networks, and in all else (`stages.py`) |
| gpu | the whole line on one GPU and all cores; left out where there is none |

``--out`` adds to a file, so that rows can be run one at a time; `benchmarks/scaling.py` makes docs/scaling.md of it. About 20 minutes
on two cores with 100 scans. Exit code 1 when a bar is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any, Final

from figures import Figure, add, machine
from inputs import linked, real_scans
from watched import HYPOJAX, Run, gpus, surroundings, watch

WARM: Final = 0.25
"""Share of a run's scans that is left out of its rate: until the networks are compiled."""

TURNS: Final = 2
BOUND: Final = 0.7
"""Share of the time that a part is busy from which on the others may be said to wait for it."""

RESULTS: Final = (0, 2)
"""Exit codes of a run that went to its end: all done, some failed."""

TABLE_SCANS: Final = 100_000
LEDGER_SCANS: Final = 4_000
STAGE_SCANS: Final = 6

MAKE_TABLE: Final = """
import sys
from pathlib import Path
from generated_cohort import generated, stored
stored(Path(sys.argv[1]), generated(int(sys.argv[2]), seed=1))
"""

OPEN_TABLE: Final = """
import json, resource, sys, time
import dask.array  # the first open of a process loads it, which takes a quarter of a second
from hypojax.cohort import open_cohort
start = time.perf_counter()
cohort = open_cohort(sys.argv[1])
found = cohort.volume_mm3.sel(region="hypothalamus").groupby(cohort.sex).mean()
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, found.values.tolist()]))
"""

FILL_LEDGER: Final = """
import sys
from pathlib import Path
from hypojax.execute.inputs import find
from hypojax.execute.output import entries_of
from hypojax.store import CohortStore
from hypojax.store.ledger import record_bytes, record_path
inputs, out = map(Path, sys.argv[1:])
old = CohortStore.open(out / "cohort.zarr")
store = CohortStore.create(old.root, scans=entries_of(find([inputs], out=out).scans), settings=old.index.settings)
record = store.records()[0]
for scan in store.index.ids:
    path = record_path(store.root, scan)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(record_bytes({**record, "scan": scan, "slot": store.index.slots[scan]}))
"""


@dataclass(frozen=True)
class Bench:
    """What all rows work with.

    Parameters
    ----------
    scans
        Real scans.
    count
        Scans of a run.
    folder
        For inputs and outputs; deleted at the end.
    options
        Further options of every run.
    torch, billot_weights
        An interpreter with PyTorch, and the published weights.
    """

    scans: Sequence[Path]
    count: int
    folder: Path
    options: Sequence[str] = ()
    torch: Path | None = None
    billot_weights: Path | None = None

    @property
    def two_cores(self) -> list[int]:
        """Those that the bars speak of."""
        return sorted(os.sched_getaffinity(0))[:2]

    def fresh(self, name: str) -> Path:
        """A path that is not there yet."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder)) / name

    def inputs(self, count: int) -> Path:
        """A folder of so many scans."""
        return linked(self.scans, self.fresh("in"), count=count)

    def run(self, inputs: Path, *options: str, cores: Sequence[int] | None = None) -> tuple[Run, Path]:
        """One run from files to table, and its output folder."""
        out = self.fresh("out")
        command = [*HYPOJAX, "run", str(inputs), str(out), *self.options, *options]
        return watch(command, cores=cores, environment=self.private).checked(*RESULTS), out

    @property
    def private(self) -> dict[str, str]:
        """Variables of every run: compiled networks are kept for this benchmark alone."""
        return {"XDG_CACHE_HOME": str(self.folder / "cache")}


@dataclass(frozen=True)
class Pace:
    """When scans were committed, and what that says.

    Parameters
    ----------
    times
        Of each, seconds since the epoch, in order.
    """

    times: tuple[float, ...]

    @classmethod
    def of(cls, out: Path) -> "Pace":
        """Of a finished run: its records were never touched again."""
        return cls(tuple(sorted(path.stat().st_mtime for path in out.glob("cohort.zarr/ledger/*/zarr.json"))))

    @property
    def warm(self) -> tuple[float, float]:
        """From when to when it ran warm."""
        return self.times[int(WARM * len(self.times))], self.times[-1]

    @property
    def rate(self) -> float:
        """Scans a second, warm."""
        start, end = self.warm
        return (len(self.times) - 1 - int(WARM * len(self.times))) / (end - start)


def line(bench: Bench) -> list[Figure]:
    """The whole line on two cores."""
    run, out = bench.run(bench.inputs(bench.count), cores=bench.two_cores)
    pace, costs = Pace.of(out), stage_costs(bench, run, out)
    what = f"whole line on {len(bench.two_cores)} cores, {bench.count} real scans, warm"
    busy = run.cpu_between(*pace.warm) / (pace.warm[1] - pace.warm[0]) / len(bench.two_cores)
    return [
        Figure("line", what, pace.rate, "scans/s", least=0.7, detail=costs),
        Figure("busy", "share of the time that these cores are busy", busy, "", least=0.85),
    ]


def stage_costs(bench: Bench, run: Run, out: Path) -> dict[str, Any]:
    """What a scan costs: processor, memory, storage."""
    pace, sizes = Pace.of(out), {name: size_of(out / name) for name in ("cohort.zarr", "derivatives")}
    read = statistics.mean(path.stat().st_size for path in bench.scans)
    return {
        "scans": len(pace.times),
        "cpu_seconds_per_scan": run.cpu_between(*pace.warm) / ((pace.warm[1] - pace.warm[0]) * pace.rate),
        "seconds_before_first_scan_done": pace.times[0] - run.start,
        "seconds_after_last_scan_done": run.end - pace.times[-1],
        "peak_bytes": run.peak,
        "input_bytes_per_scan": read,
        "store_bytes_per_scan": sizes["cohort.zarr"][0] / len(pace.times),
        "derivatives_bytes_per_scan": sizes["derivatives"][0] / len(pace.times),
        "files_per_scan": (sizes["cohort.zarr"][1] + sizes["derivatives"][1]) / len(pace.times),
    }


def size_of(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files)


def billot(bench: Bench) -> list[Figure]:
    """Ours and the published network on the same scans and cores."""
    if bench.torch is None or bench.billot_weights is None:
        print("billot: left out; name an interpreter with PyTorch (--torch-python) and the weights (--billot-weights)")
        return []
    script = str(Path(__file__).with_name("billot.py"))
    theirs, ours = [], []
    for scan in bench.scans[: TURNS + 1]:
        command = [str(bench.torch), script, str(bench.billot_weights), str(scan), "--threads", str(len(bench.two_cores))]
        said = watch(command, cores=bench.two_cores).checked().output
        theirs.append(json.loads(said.splitlines()[-1])["seconds"])
        same = linked([scan], bench.fresh("in"), count=max(8, bench.count // 5))
        ours.append(1 / Pace.of(bench.run(same, cores=bench.two_cores)[1]).rate)
    ratio = statistics.median(their / our for their, our in zip(theirs, ours, strict=True))
    detail = {"billot_seconds": statistics.median(theirs), "hypojax_seconds": statistics.median(ours), "scans": len(ours)}
    return [Figure("billot", "times faster than the Billot 2020 network in PyTorch", ratio, "times", least=20, detail=detail)]


def dask(bench: Bench) -> list[Figure]:
    """One Dask worker with all cores against one process, turn about."""
    inputs, rates = bench.inputs(max(8, 2 * bench.count // 5)), []
    for _ in range(TURNS):
        plain, there = (
            Pace.of(bench.run(inputs, *where, cores=bench.two_cores)[1]).rate for where in ((), ("--cluster", "local", "--workers", "1"))
        )
        rates.append((plain, there))
    ratio = statistics.median(there / plain for plain, there in rates)
    detail = {"plain_scans_per_second": rates[0][0], "dask_scans_per_second": rates[0][1]}
    return [Figure("dask", "Dask execution against one process, scans/s", ratio, "times", least=0.95, detail=detail)]


def workers(bench: Bench) -> list[Figure]:
    """One core a worker: 1, 2, 4 ... workers, turn about."""
    cores = sorted(os.sched_getaffinity(0))
    counts = [2**power for power in range(len(cores).bit_length()) if 2**power <= len(cores)]
    rates: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(TURNS):
        for count in counts:
            inputs = bench.inputs(max(8, 3 * bench.count // 10) * max(1, count // 2))
            _, out = bench.run(inputs, "--cluster", "local", "--workers", str(count), cores=cores[:count])
            rates[count].append(Pace.of(out).rate)
    curve = [[count, statistics.median(found)] for count, found in rates.items()]
    if len(curve) < 2:
        print("workers: left out; there is one core")
        return []
    ratio = statistics.median(two / one for one, two in zip(rates[1], rates[2], strict=True))
    return [Figure("workers", "two workers against one, one core each", ratio, "times", least=1.8, detail={"curve": curve})]


def start(bench: Bench) -> list[Figure]:
    """From the start of the command to the first finished scan, compiled networks at hand; and without them."""
    inputs, waits, spent = bench.inputs(2), [], []
    environment = {"XDG_CACHE_HOME": str(bench.fresh("cache"))}
    for _ in range(TURNS + 2):
        out = bench.fresh("out")
        command = [*HYPOJAX, "run", str(inputs), str(out), *bench.options]
        run = watch(command, cores=bench.two_cores, environment=environment).checked(*RESULTS)
        first = Pace.of(out).times[0]
        waits.append(first - run.start)
        spent.append(run.cpu_between(run.start, first))
    detail = {"without_compiled_networks": waits[0], "processor_seconds": statistics.median(spent[1:])}
    what = "from the start of the command to the first finished scan"
    return [Figure("start", what, statistics.median(waits[1:]), "s", most=6, detail=detail)]


def table(bench: Bench) -> list[Figure]:
    """`open_cohort` and a group-by, in a process of its own each time."""
    out = bench.fresh("table")
    python(MAKE_TABLE, str(out), str(TABLE_SCANS))
    found = [json.loads(python(OPEN_TABLE, str(out))) for _ in range(5)]
    seconds, peak = (statistics.median(one[part] for one in found) for part in (0, 1))
    what = f"open_cohort and a group-by over {TABLE_SCANS:,} scans"
    bytes_ = size_of(out)[0] / TABLE_SCANS
    return [
        Figure("table", what, seconds, "s", most=1, detail={"table_bytes_per_scan": bytes_}),
        Figure("table_memory", f"{what}: peak resident size of the process", peak / 1e6, "MB", most=500),
    ]


def python(code: str, *arguments: str) -> str:
    """What a few lines of Python write, with the tests' generated cohorts at hand."""
    environment = surroundings()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).resolve().parents[1] / "tests")
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def ledger(bench: Bench) -> list[Figure]:
    """The command again, when all is done, with few scans and with many: what each adds."""
    one, many = bench.inputs(1), bench.fresh("many")
    many.mkdir()
    for number in range(LEDGER_SCANS):
        (many / f"sub-done{number:05d}_T1w.nii.gz").touch()  # never read, for the ledger has them
    _, out = bench.run(one)
    again: dict[str, list[Run]] = {"few": [], "many": [], "share": []}
    for _ in range(TURNS):
        again["few"].append(done_again(bench, one, out))
    python(FILL_LEDGER, str(many), str(out))
    for _ in range(TURNS):
        again["many"].append(done_again(bench, many, out))
        again["share"].append(done_again(bench, many, out, "--shard", "1/100"))
    seconds = {name: statistics.median(run.seconds for run in runs) for name, runs in again.items()}
    peaks = {name: max(run.peak for run in runs) for name, runs in again.items()}
    added = (seconds["many"] - seconds["few"]) / LEDGER_SCANS
    detail = {
        "share_seconds_per_scan_of_the_cohort": (seconds["share"] - seconds["few"]) / LEDGER_SCANS,
        "memory_bytes_per_scan": (peaks["many"] - peaks["few"]) / LEDGER_SCANS,
        "scans": LEDGER_SCANS,
    }
    return [Figure("ledger", "what ledger, table and export cost a scan of a run", 1e3 * added, "ms/scan", detail=detail)]


def done_again(bench: Bench, inputs: Path, out: Path, *options: str) -> Run:
    """A run that finds everything done."""
    command = [*HYPOJAX, "run", str(inputs), str(out), *bench.options, *options]
    return watch(command, cores=bench.two_cores, environment=bench.private).checked(*RESULTS)


def networks(bench: Bench) -> list[Figure]:
    """Processor time of the networks alone, which a GPU takes over, and of all else, which it does not."""
    script, found = Path(__file__).with_name("stages.py"), bench.fresh("stages.json")
    scans = sorted(map(str, bench.inputs(STAGE_SCANS).iterdir()))
    subprocess.run([sys.executable, str(script), *scans, "--out", str(found)], env=surroundings(), stdout=sys.stderr, check=True)
    spent = json.loads(found.read_text(encoding="utf-8"))
    return [Figure("networks", "processor time of the networks, of a scan", spent["networks"], "s", detail=spent)]


def gpu(bench: Bench) -> list[Figure]:
    """The whole line on one GPU and all cores."""
    if not gpus():
        print("gpu: left out; there is none")
        return []
    run, out = bench.run(bench.inputs(4 * bench.count))
    pace, costs = Pace.of(out), stage_costs(bench, run, out)
    cores = len(os.sched_getaffinity(0))
    busy = {
        "processor": run.cpu_between(*pace.warm) / (pace.warm[1] - pace.warm[0]) / cores,
        "GPU": run.device_between(*pace.warm),
    }
    detail = {**costs, "cores": cores, "busy": busy, "bound_by": bound_by(busy)}
    return [Figure("gpu", f"whole line on one GPU and {cores} cores, warm", pace.rate, "scans/s", least=10, detail=detail)]


def bound_by(busy: dict[str, float]) -> str:
    """What a run waits for, from how busy its parts are.

    >>> bound_by({"processor": 0.95, "GPU": 0.4})
    'processor (95 % busy)'
    """
    seen = {name: share for name, share in busy.items() if not isnan(share)}
    name = max(seen, key=seen.__getitem__)
    found = f"{name} ({100 * seen[name]:.0f} % busy)"
    return found if seen[name] > BOUND else f"no one part; the busiest is the {found}"


ROWS: Final[dict[str, Callable[[Bench], list[Figure]]]] = {
    row.__name__: row for row in (line, billot, dask, workers, start, table, ledger, networks, gpu)
}


def main() -> int:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="SCANS")
    parser.add_argument("--only", default=",".join(ROWS), help="rows, separated by commas")
    parser.add_argument("--scans", type=int, default=100, help="scans of the whole line; other rows take shares of it")
    parser.add_argument("--out", type=Path, help="JSON file to add the figures to")
    parser.add_argument("--scratch", type=Path, help="folder on the disk to measure on")
    parser.add_argument("--torch-python", type=Path, help="interpreter of an environment for benchmarks/billot.py")
    parser.add_argument("--billot-weights", type=Path, help="hypothalamus_seg_model.h5")
    parser.add_argument("--run-options", default="", help="further options of hypojax run, such as '--batch 8'")
    chosen = parser.parse_args()
    told = machine()
    print(f"{told['processor']}, {told['memory_gb']} GB; Python {told['python']}, {told['versions']}", flush=True)
    missed = 0
    with tempfile.TemporaryDirectory(prefix="hypojax-throughput-", dir=chosen.scratch) as folder:
        scans, options = real_scans(chosen.folders), chosen.run_options.split()
        bench = Bench(scans, chosen.scans, Path(folder), options, chosen.torch_python, chosen.billot_weights)
        for name in chosen.only.split(","):
            figures = ROWS[name](bench)
            add(chosen.out, figures)
            missed += sum(not figure.met for figure in figures)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
