"""Make the page on scaling from the figures that were measured: the curve, and what large cohorts take, with the arithmetic.

    python benchmarks/throughput.py SCANS ... --out figures.json
    python benchmarks/soak.py SCANS ... --out figures.json
    python benchmarks/scaling.py figures.json > docs/scaling.md

Every number of the page stands in the file, or is worked out from it here; what is assumed is said.
"""

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COHORTS: Final = (45_000, 1_000_000)
CORES: Final = 64
"""Cores of the node that is reckoned with; it has one worker a core."""

GPUS: Final = 8
"""GPUs of a node with GPUs."""

DAY: Final = 24.0
"""Hours within which a cohort should be done, for the number of nodes."""

GB: Final = 1e9

HEAD: Final = """# How far it scales

Made by `python benchmarks/scaling.py figures.json > docs/scaling.md` from what `benchmarks/throughput.py` and
`benchmarks/soak.py` measured. Do not edit it: measure again.
"""

FORMULA: Final = (
    "Hours = (s + N / (r × e × cores) + N × l) / 3600. That each worker keeps the share e was measured on the cores above and is an "
    "assumption beyond them."
)

Figures = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Costs:
    """What one scan costs, as measured.

    Parameters
    ----------
    per_core
        Scans a second of one worker on one core.
    efficiency
        Share of that which each of several workers keeps.
    start_seconds
        From the start to the first finished scan.
    ledger_seconds
        A scan's share of reading the ledger and of writing table and exports, by one process.
    store_bytes, derivatives_bytes, table_bytes
        On the disk.
    files
        On the disk.
    worker_bytes
        Peak resident size of one worker.
    ledger_bytes
        What a scan of the cohort adds to the memory of the process that writes the table.
    """

    per_core: float
    efficiency: float
    start_seconds: float
    ledger_seconds: float
    store_bytes: float
    derivatives_bytes: float
    table_bytes: float
    files: float
    worker_bytes: float
    ledger_bytes: float

    @classmethod
    def of(cls, figures: Figures) -> "Costs":
        """From the figures of a machine.

        Raises
        ------
        SystemExit
            A row that is needed was not measured.
        """
        if lacking := [name for name in ("line", "workers", "start", "table", "ledger") if name not in figures]:
            raise SystemExit(f"not measured yet: {', '.join(lacking)}; run benchmarks/throughput.py --only {','.join(lacking)} --out")
        line, curve = figures["line"]["detail"], figures["workers"]["detail"]["curve"]
        count, rate = curve[-1]
        return cls(
            per_core=curve[0][1],
            efficiency=min(1.0, rate / (count * curve[0][1])),
            start_seconds=figures["start"]["value"],
            ledger_seconds=figures["ledger"]["value"] / 1e3,
            store_bytes=line["store_bytes_per_scan"],
            derivatives_bytes=line["derivatives_bytes_per_scan"],
            table_bytes=figures["table"]["detail"]["table_bytes_per_scan"],
            files=line["files_per_scan"],
            worker_bytes=line["peak_bytes"],
            ledger_bytes=figures["ledger"]["detail"]["memory_bytes_per_scan"],
        )


@dataclass(frozen=True)
class Projection:
    """What a cohort takes.

    Parameters
    ----------
    scans
        Of the cohort.
    cores
        That work on it, on all nodes together.
    hours
        Of wall time: start, scans, ledger and table.
    ledger_hours
        Of those, for ledger and table, which one process does.
    gigabytes
        Of the output folder.
    files
        In it.
    """

    scans: int
    cores: int
    hours: float
    ledger_hours: float
    gigabytes: float
    files: float


def project(costs: Costs, *, scans: int, cores: int) -> Projection:
    """What a cohort takes on so many cores.

    >>> costs = Costs(0.5, 0.8, 3600.0, 0.0036, 2e6, 1e6, 0.0, 20, 1e9, 1e4)
    >>> found = project(costs, scans=1_000_000, cores=100)
    >>> round(found.hours, 2), found.ledger_hours, found.gigabytes, found.files
    (8.94, 1.0, 3000.0, 20000000)
    """
    working = scans / (costs.per_core * costs.efficiency * cores)
    ledger = scans * costs.ledger_seconds
    size = scans * (costs.store_bytes + costs.derivatives_bytes + costs.table_bytes)
    return Projection(scans, cores, (costs.start_seconds + working + ledger) / 3600, ledger / 3600, size / GB, scans * costs.files)


def nodes_for(costs: Costs, *, scans: int, hours: float) -> int | None:
    """Nodes that do a cohort in so many hours; None where the part of one process alone takes longer.

    >>> nodes_for(Costs(0.5, 0.8, 0.0, 0.0, 0, 0, 0, 0, 0, 0), scans=1_000_000, hours=24)
    1
    """
    left = 3600 * hours - costs.start_seconds - scans * costs.ledger_seconds
    return math.ceil(scans / (costs.per_core * costs.efficiency * CORES * left)) if left > 0 else None


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """The page, in parts."""
    figures: Figures = found["figures"]
    costs = Costs.of(figures)
    yield HEAD
    yield machine(found["machine"])
    yield bars(figures)
    yield "## The curve\n"
    yield curve(figures["workers"]["detail"]["curve"])
    if "memory" in figures:
        yield long_run(figures)
    yield "## What a scan costs\n"
    yield cost_table(costs, figures)
    yield from (cohort(costs, scans) for scans in COHORTS)
    yield device(figures)


def machine(told: Mapping[str, Any]) -> str:
    """Hardware and versions."""
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return f"Measured on: {told['processor']}, {told['memory_gb']} GB; Python {told['python']}, {versions}.\n"


def bars(figures: Figures) -> str:
    """Figures that have a bar."""
    rows = []
    for figure in figures.values():
        if figure["least"] is not None or figure["most"] is not None:
            bar = f"≥ {figure['least']:g}" if figure["least"] is not None else f"≤ {figure['most']:g}"
            rows.append([figure["what"], f"{figure['value']:.3g} {figure['unit']}".strip(), bar, "met" if figure["met"] else "**missed**"])
    return "## Against the bars\n\n" + markdown(["what", "measured", "bar", ""], rows)


def curve(points: Sequence[Sequence[float]]) -> str:
    """Scans a second by workers."""
    one = points[0][1]
    rows = [
        [f"{int(n)}", f"{rate:.3g}", f"{rate / one:.2f}", f"{100 * rate / (n * one):.0f} %", "█" * round(8 * rate / one)]
        for n, rate in points
    ]
    return "`hypojax run --cluster local`, one core a worker, warm:\n\n" + markdown(
        ["workers", "scans/s", "times one worker", "kept a worker", ""], rows
    )


def long_run(figures: Figures) -> str:
    """Pace and memory over a long run."""
    points = figures["memory"]["detail"]["curve"]
    shown = [points[index] for index in sorted({0, *range(1, len(points), max(1, len(points) // 8)), len(points) - 1})]
    rows = [[f"{int(n)}", f"{rate:.3g}", f"{resident:.0f}"] for n, rate, resident in shown]
    said = f"One run: {figures['soak']['what']}. It looks for lost scans and growing memory; other work beside it slows it."
    return f"{said}\n\n" + markdown(["scans done", "scans/s so far", "resident MB"], rows)


def cost_table(costs: Costs, figures: Figures) -> str:
    """The numbers that the arithmetic takes."""
    line = figures["line"]["detail"]
    rows = [
        ["r", "scans a second of one worker on one core", f"{costs.per_core:.3g}"],
        ["e", "share of that which each of several workers keeps", f"{costs.efficiency:.3g}"],
        ["s", "from the start to the first finished scan, s", f"{costs.start_seconds:.3g}"],
        ["l", "ledger, table and export, by one process, s a scan", f"{costs.ledger_seconds:.3g}"],
        ["b", "output: store + derivatives + table, MB a scan", f"{size(costs):.3g}"],
        ["f", "files in the output, a scan", f"{costs.files:.3g}"],
        ["", "input, MB a scan", f"{line['input_bytes_per_scan'] / 1e6:.3g}"],
        ["", "processor time, s a scan", f"{line['cpu_seconds_per_scan']:.3g}"],
        ["m", "memory of one worker, GB", f"{costs.worker_bytes / GB:.3g}"],
        ["", "memory that ledger and table take at the end, kB a scan of the cohort", f"{costs.ledger_bytes / 1e3:.3g}"],
    ]
    return markdown(["", "measured", ""], rows)


def size(costs: Costs) -> float:
    """Output of a scan, MB."""
    return (costs.store_bytes + costs.derivatives_bytes + costs.table_bytes) / 1e6


def cohort(costs: Costs, scans: int) -> str:
    """What one cohort takes, with the arithmetic."""
    sizes = [2, CORES, 4 * CORES, 16 * CORES]
    rows = []
    for cores in sizes:
        found = project(costs, scans=scans, cores=cores)
        arithmetic = (
            f"({costs.start_seconds:.3g} + {scans:,} / ({costs.per_core:.3g} × {costs.efficiency:.3g} × {cores}) "
            f"+ {scans:,} × {costs.ledger_seconds:.3g}) / 3600"
        )
        rows.append(
            [
                where(cores),
                f"{found.hours:,.1f}" if found.hours >= 10 else f"{found.hours:.2g}",
                arithmetic,
                f"{costs.worker_bytes * min(cores, CORES) / GB:.3g}",
            ]
        )
    return (
        f"## {scans:,} scans\n\n{FORMULA}\n\n{markdown(['on', 'hours', 'arithmetic', 'memory a node, GB'], rows)}\n"
        f"{in_a_day(costs, scans)}\n\n{storage(costs, scans)}\n"
    )


def in_a_day(costs: Costs, scans: int) -> str:
    """Nodes that a cohort needs."""
    nodes = nodes_for(costs, scans=scans, hours=DAY)
    if nodes is None:
        return f"Not within {DAY:g} hours, on however many nodes: ledger and table alone take one process longer."
    return f"Within {DAY:g} hours: {nodes} node{'s' if nodes != 1 else ''} of {CORES} cores."


def storage(costs: Costs, scans: int) -> str:
    """What a cohort takes on the disk, and of the time what no further node makes shorter."""
    found = project(costs, scans=scans, cores=CORES)
    return (
        f"Storage: {scans:,} × {size(costs):.3g} MB = {found.gigabytes:,.0f} GB in {scans:,} × {costs.files:.3g} = {found.files:,.0f} "
        f"files. Of the hours, {found.ledger_hours:.2g} are ledger and table, whatever the cores; the process that writes them takes "
        f"{scans:,} × {costs.ledger_bytes / 1e3:.3g} kB = {scans * costs.ledger_bytes / GB:.3g} GB of memory."
    )


def where(cores: int) -> str:
    """So many cores in words."""
    return f"{cores} cores" if cores < CORES else f"{cores // CORES} node{'s' if cores > CORES else ''} of {CORES} cores"


def device(figures: Figures) -> str:
    """What a GPU does; that it was not measured, where it was not, and what the processors beside it leave possible."""
    if "gpu" not in figures:
        return (
            "## On a GPU\n\nNot measured here. `python benchmarks/throughput.py SCANS --only gpu` does on a machine with one, "
            f"and says what bounds it.\n{beside_gpus(figures['networks']['detail']) if 'networks' in figures else ''}"
        )
    found = figures["gpu"]
    hours = ", ".join(f"{scans:,} scans take {scans / found['value'] / 3600:.3g} hours" for scans in COHORTS)
    return (
        f"## On a GPU\n\nOne GPU and {found['detail']['cores']} cores: {found['value']:.3g} scans/s from files to table, bound by "
        f"{found['detail']['bound_by']}. At that pace {hours} (N / {found['value']:.3g} / 3600).\n"
    )


def beside_gpus(spent: Mapping[str, float]) -> str:
    """The bound that the processors of a node set, with the networks on GPUs, from processor seconds of a scan."""
    rest = spent["all_else"]
    head = ["cores", "scans/s at most", f"of these by each of {GPUS} GPUs", *(f"{scans:,} scans, hours" for scans in COHORTS)]
    rows = [
        [str(cores), f"{cores / rest:.0f}", f"{cores / rest / GPUS:.0f}"]
        + [f"{scans * rest / cores / 3600:.2g} ({scans:,} × {rest:.2g} / {cores} / 3600)" for scans in COHORTS]
        for cores in (CORES, 2 * CORES)
    ]
    return (
        f"\nOf the processor time of a scan {spent['networks']:.2g} s are the networks, {rest:.2g} s all else. A node with {GPUS} GPUs "
        f"can be no faster than its processors do all else; nor slower, if each of its GPUs keeps up:\n\n{markdown(head, rows)}"
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    found = json.loads(parser.parse_args().figures.read_text(encoding="utf-8"))
    print("\n".join(page(found)), end="")


if __name__ == "__main__":
    main()
