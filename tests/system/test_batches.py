"""A batch of the page with real processes: its server is killed, another finds it, ends it, and goes on to what `hypojax run` gives."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from app_servers import tiny_weights
from undisturbed import write_scans, written

from hypojax import execute
from hypojax.app.batch_run import BatchRuns
from hypojax.settings import RunSettings

SCANS = 30
PATIENCE = 3600.0
"""Seconds; a minute on a quiet machine, but batches give way to all else."""

SERVER = """
import sys, time
from pathlib import Path
from hypojax.app.batch_run import BatchRuns
inputs, cohorts, weights = map(Path, sys.argv[1:])
BatchRuns(inputs=inputs, cohorts=cohorts, weights=weights).start("study", "pilot")
print("started", flush=True)
time.sleep(600)
"""


def until(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.long
def test_a_batch_outlives_its_server_and_goes_on_to_the_same_bytes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    inputs, cohorts, weights = tmp_path / "in", tmp_path / "cohorts", tiny_weights(tmp_path / "weights")
    cohorts.mkdir()
    study = write_scans(inputs / "study", scans=SCANS)
    places = [str(place) for place in (inputs, cohorts, weights)]
    with subprocess.Popen([sys.executable, "-c", SERVER, *places], stdout=subprocess.PIPE, start_new_session=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"started\n"
        os.killpg(server.pid, signal.SIGKILL)
    runs = BatchRuns(inputs=inputs, cohorts=cohorts, weights=weights)
    assert runs.list() == ("pilot",)
    request.addfinalizer(lambda: runs.cancel("pilot"))
    until(lambda: runs.progress("pilot").done > 0)
    found = runs.progress("pilot")
    assert (found.total, found.watched, found.active) == (SCANS, False, True)
    runs.cancel("pilot")
    until(lambda: runs.progress("pilot").state == "stopped")
    stopped = runs.progress("pilot")
    assert 0 < stopped.done < SCANS
    assert (cohorts / "pilot" / "volumes.tsv").is_file()  # ended in order: with the table of what is done
    runs.resume("pilot")
    until((cohorts / "pilot" / "report" / "pages.jsonl").is_file)
    assert (runs.progress("pilot").done, runs.progress("pilot").state) == (SCANS, "drawing")
    runs.cancel("pilot")  # what networks that are drawn at random outline takes a minute a page
    until(lambda: not runs.progress("pilot").active)
    assert (runs.progress("pilot").done, runs.progress("pilot").state) == (SCANS, "finished")
    execute.run(study, out=tmp_path / "alone", settings=RunSettings(weights=weights))
    assert written(cohorts / "pilot") == written(tmp_path / "alone")
