"""A run whose terminal, reader or output disk is gone does its work all the same, and its exit code is that of the work."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from child import PATIENCE, RUN, environment, run_of
from undisturbed import write_scans

from hypojax import execute
from hypojax.cohort import open_cohort

SCANS = 3


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("in"), scans=SCANS)


def finished(out: Path) -> bool:
    """Whether all scans are done and the table says so."""
    return list(open_cohort(out).status.values) == ["done"] * SCANS and execute.verify(out) == ()


def test_signals_ignored_at_its_start_stay_ignored_and_that_is_said(scans: Path, tmp_path: Path) -> None:
    """As under ``nohup``, and in a job that a script starts with ``&``."""
    out, ignoring = tmp_path / "out", (signal.SIGINT, signal.SIGHUP)
    with run_of("--sleep", 0.2, scans, out, log=tmp_path / "log", ignoring=ignoring) as child:
        child.until(lambda: "in this process" in child.said)
        for number in ignoring:
            child.send(number)
        assert child.end() == 0, child.said
        assert "SIGINT and SIGHUP are ignored here" in child.said
        assert f"kill -TERM {child.process.pid} ends it cleanly" in child.said
    assert finished(out)


@pytest.mark.parametrize(
    "shell",
    [
        "{run} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}",
        "{run} >/dev/full 2>/dev/full",
        "{run} <&- >&- 2>&-",
        "PYTHONIOENCODING=ascii {run}",
    ],
    ids=["reader gone", "disk full", "closed", "ascii"],
)
def test_an_output_that_nobody_takes_ends_no_work(scans: Path, tmp_path: Path, shell: str) -> None:
    command = shell.format(run=f"'{sys.executable}' '{RUN}' '{scans}' '{tmp_path / 'out'}'")
    assert subprocess.run(["/bin/bash", "-c", command], env=environment(), timeout=PATIENCE, check=False).returncode == 0
    assert finished(tmp_path / "out")
