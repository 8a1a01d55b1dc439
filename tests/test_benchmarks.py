"""The benchmarks start, break scans as they say, and reckon what large cohorts take as one would by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from standin import write_phantom

from hypojax.reason import ScanError
from hypojax.scans import read

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

FIGURES: dict[str, Any] = {
    "line": {
        "detail": {
            "store_bytes_per_scan": 4e6, "derivatives_bytes_per_scan": 1e6, "files_per_scan": 30,
            "peak_bytes": 2e9, "input_bytes_per_scan": 3e6, "cpu_seconds_per_scan": 2.0,
        }
    },
    "workers": {"detail": {"curve": [[1, 0.5], [2, 0.9], [4, 1.6]]}},
    "start": {"value": 5.0},
    "table": {"detail": {"table_bytes_per_scan": 0.0}},
    "ledger": {"value": 3.6, "detail": {"memory_bytes_per_scan": 2e4}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def complete(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures as they stand in the file."""
    blank = {"what": "it", "value": 1.0, "unit": "s", "least": None, "most": 2.0, "met": True}
    machine = {"processor": "abacus", "memory_gb": 1, "python": "3", "versions": {"hypojax": "0"}}
    return {"machine": machine, "figures": {name: {**blank, **figure} for name, figure in figures.items()}}


def test_hours_and_storage_of_a_cohort() -> None:
    import scaling

    costs = scaling.Costs.of(FIGURES)
    assert costs.efficiency == pytest.approx(1.6 / (4 * 0.5))
    found = scaling.project(costs, scans=45_000, cores=64)
    # 45,000 scans at 64 × 0.5 × 0.8 = 25.6 scans/s are 1757.8125 s; the ledger adds 45,000 × 3.6 ms = 162 s, the start 5 s.
    assert found.hours == pytest.approx((5 + 1757.8125 + 162) / 3600)
    assert found.gigabytes == pytest.approx(225)
    assert found.files == 1_350_000
    assert scaling.nodes_for(costs, scans=1_000_000, hours=24) == 1
    # In one hour: the ledger takes all of it.
    assert scaling.nodes_for(costs, scans=1_000_000, hours=1) is None
    # 1,000,000 scans at 25.6 scans/s a node within 2 h less 1 h of ledger and 5 s.
    assert scaling.nodes_for(costs, scans=1_000_000, hours=2) == 11


def test_the_page_shows_measured_numbers_and_says_what_was_not_measured() -> None:
    import scaling

    text = "\n".join(scaling.page(complete(FIGURES)))
    assert "| 2 | 0.9 | 1.80 | 90 % |" in text
    assert "45,000 × 5 MB = 225 GB in 45,000 × 30 = 1,350,000 files" in text
    assert "45,000 × 20 kB = 0.9 GB of memory" in text
    assert "Not measured here" in text
    assert "abacus" in text
    measured = {**FIGURES, "gpu": {"value": 12.5, "detail": {"cores": 16, "bound_by": "processor (97 % busy)"}}}
    assert "45,000 scans take 1 hours" in "\n".join(scaling.page(complete(measured)))


def test_a_row_that_lacks_is_named() -> None:
    import scaling

    with pytest.raises(SystemExit, match="not measured yet: ledger"):
        scaling.Costs.of({name: figure for name, figure in FIGURES.items() if name != "ledger"})


def test_figures_are_added_to_those_of_the_same_machine_only(tmp_path: Path) -> None:
    import figures

    path = tmp_path / "figures.json"
    figures.add(path, [figures.Figure("a", "one", 1.0, "s", most=2), figures.Figure("b", "two", 1.0, "s", least=2)])
    figures.add(path, [figures.Figure("b", "two", 3.0, "s", least=2)])
    held = json.loads(path.read_text())
    assert [(name, figure["value"], figure["met"]) for name, figure in held["figures"].items()] == [("a", 1.0, True), ("b", 3.0, True)]
    path.write_text(json.dumps({**held, "machine": {**held["machine"], "processor": "another"}}))
    with pytest.raises(SystemExit, match="another"):
        figures.add(path, [])


def test_every_way_of_breaking_a_scan_gives_a_reason_that_fits(tmp_path: Path) -> None:
    import inputs

    expected = inputs.broken(write_phantom(tmp_path / "sound.nii.gz"), tmp_path, count=len(inputs.BROKEN))
    assert len(expected) == len(inputs.BROKEN)
    for scan, reasons in expected.items():
        with pytest.raises(ScanError) as caught:
            read(scan, tmp_path / f"{scan}_T1w.nii.gz")
        assert str(caught.value.reason) in reasons, scan


def test_a_watched_command_is_seen_whole() -> None:
    import watched

    work = (
        "import os, time; b = b'x' * (150 << 20); [hash(str(n)) for n in range(1_000_000)]; time.sleep(2); print(os.sched_getaffinity(0))"
    )
    core = min(os.sched_getaffinity(0))
    inner = ["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"]
    run = watched.watch([sys.executable, *inner], cores=[core])
    assert run.code == 0
    assert run.output.strip() == str({core})
    assert run.peak > 150 << 20
    assert 0 < run.cpu_between(run.start, run.end) <= run.seconds + watched.EVERY


@pytest.mark.parametrize("name", ["throughput", "soak", "scaling", "stages", "decode"])
def test_a_benchmark_explains_itself(name: str) -> None:
    said = subprocess.run([sys.executable, str(BENCHMARKS / f"{name}.py"), "--help"], capture_output=True, text=True, check=True)
    assert f"python benchmarks/{name}.py" in said.stdout
