"""A real SLURM on this machine: an array of shards and a Dask cluster of jobs, one of each cancelled midway, end as if nothing had been.

They need root and Debian's packages:

    apt-get install slurm-wlm munge
    python -m pytest -m 'slow and root' tests/system/test_slurm.py
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from repetition import assert_same, done, scans_table, undisturbed
from slurm_site import Site, missing, slurm_site, wait_until

from hypojax import execute
from hypojax.execute.deploy import ClusterConfig, write_recipes
from hypojax.execute.deploy.cluster_tables import Slurm

ROOT = Path(__file__).parents[2]

SUBJECTS = 6

LONG = 420.0
"""Seconds that a run of these scans may take on a busy machine with two cores."""

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with slurm_site(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    return scans_table(tmp_path_factory.mktemp("scans"), shared, subjects=SUBJECTS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, scans: Path) -> Path:
    return undisturbed(scans, tmp_path_factory.mktemp("reference") / "out")


def configuration(scans: Path, out: Path, folder: Path) -> ClusterConfig:
    """Two at once, each with a core and a GPU that is none."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "HOME": str(folder),
    }
    setup = tuple(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    slurm = Slurm(setup=setup, logs=str(folder / "logs"), scratch=str(folder), shared=str(folder))
    return ClusterConfig((str(scans),), str(out), name="test", workers=2, cores=1, memory=4, gpus=1, walltime=30, slurm=slurm)


def test_an_array_of_which_one_task_is_cancelled_goes_on_where_it_stopped(site: Site, scans: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_recipes(configuration(scans, out, tmp_path), tmp_path / "recipes")
    submit = ("bash", str(tmp_path / "recipes" / "slurm" / "submit.sh"))
    array = site.call(*submit).split()[1].rstrip(",")
    wait_until(lambda: done(out) >= 1, patience=LONG)
    assert "gres:gpu:1" in site.call("scontrol", "show", "job", f"{array}_1").replace("gres/gpu", "gres:gpu")
    site.call("scancel", f"{array}_1")
    wait_until(site.finished, patience=LONG)
    assert "JobState=CANCELLED" in site.call("scontrol", "show", "job", f"{array}_1")
    halfway = execute.status(out)
    assert SUBJECTS // 2 <= halfway.done < SUBJECTS, "the other task did its share, the cancelled one did not"
    site.call(*submit)
    wait_until(site.finished, patience=LONG)
    assert_same(out, reference)
    assert execute.verify(out) == ()


def test_a_live_cluster_of_jobs_of_which_one_is_cancelled_does_every_scan(site: Site, scans: Path, reference: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "out", tmp_path / "mine.toml"
    config.write_text(as_toml(configuration(scans, out, tmp_path)), encoding="utf-8")
    hypojax = str(Path(sys.executable).with_name("hypojax"))
    options = ["--cluster", "slurm", "--cluster-config", str(config), "--batch", "1"]
    command = [hypojax, "run", str(scans), str(out), *options]
    with (tmp_path / "said").open("w") as said:
        run = subprocess.Popen(command, env={**site.environment, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=said, stderr=said)
        try:
            wait_until(lambda: done(out) >= 1 or run.poll() is not None, patience=LONG)
            running = [job for job in site.jobs() if job[2] == "RUNNING"]
            assert len(running) == 2, (tmp_path / "said").read_text()
            site.call("scancel", running[0][1])
            assert run.wait(timeout=LONG) == 0, (tmp_path / "said").read_text()
        finally:
            run.send_signal(signal.SIGINT)
            run.wait(timeout=60)
    wait_until(site.finished)
    assert_same(out, reference)
    assert not list(tmp_path.glob(".dask-jobqueue.worker.*")), "the temporary keys are gone"
    assert "PRIVATE KEY" not in "".join(path.read_text() for path in [tmp_path / "said", *tmp_path.joinpath("logs").iterdir()])


def as_toml(config: ClusterConfig) -> str:
    """The file that a user would write."""
    slurm = config.slurm
    assert slurm is not None
    lines = [f"inputs = {list(config.inputs)}", f"out = '{config.out}'", f"name = '{config.name}'"]
    lines += [f"{name} = {getattr(config, name)}" for name in ("workers", "cores", "memory", "gpus", "walltime")]
    lines += ["[slurm]", "setup = [", *(f"    {line!r}," for line in slurm.setup), "]"]
    return "\n".join([*lines, *(f"{name} = '{getattr(slurm, name)}'" for name in ("logs", "scratch", "shared"))]) + "\n"
