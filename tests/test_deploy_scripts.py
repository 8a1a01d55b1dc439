"""SLURM: what the array script asks for, and the job script that dask_jobqueue makes of our options."""

import asyncio
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_recipes import example

from hypojax.cli import parse
from hypojax.cli.planning import PlanVerb
from hypojax.execute.deploy import ClusterConfig, recipes, slurm_options, write_recipes
from hypojax.execute.deploy.cluster_tables import Slurm, require_table
from hypojax.reason import RunError


def directives(script: str) -> list[str]:
    """Lines that sbatch reads: those before the first command."""
    opening = re.split(r"^[^#\n]", script, maxsplit=1, flags=re.MULTILINE)[0]
    assert opening.count("#SBATCH") == script.count("#SBATCH")
    return re.findall(r"^#SBATCH (.*)$", opening, re.MULTILINE)


def submitted(config: ClusterConfig, folder: Path, *arguments: str) -> list[str]:
    """What submit.sh calls, with stand-ins for sbatch and hypojax: a line a call."""
    write_recipes(config, folder / "recipes")
    for name, answer in (("sbatch", "7"), ("hypojax", "42")):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\necho {answer}\n')
        program.chmod(0o755)
    script = ["bash", str(folder / "recipes" / "slurm" / "submit.sh"), *arguments]
    subprocess.run(script, env={"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}, cwd=folder, check=True)
    return (folder / "calls").read_text().splitlines()


def test_an_array_takes_its_time_from_the_plan_and_its_end_waits_for_it(tmp_path: Path) -> None:
    config = replace(example(), slurm=replace(require_table(example().slurm, "slurm"), setup=()))
    plan, array, finish = submitted(config, tmp_path, "--qos=low")
    assert plan == "hypojax plan /data/bids /data/out --batch 4 --workers 32 --cores 4 --memory 12GiB --gpus 1 --walltime"
    assert array.startswith("sbatch --parsable --time=42 --qos=low ")
    assert array.endswith("slurm/array.sh")
    assert finish.startswith("sbatch --parsable --dependency=afterany:7 ")
    assert finish.endswith("slurm/finish.sh")
    assert "--time" not in recipes(config)["slurm/array.sh"]
    verb = parse(plan.split()[1:])
    assert isinstance(verb, PlanVerb)
    assert (verb.walltime, verb.workers, verb.cores, verb.gpus, verb.settings.batch) == (True, 32, 4, 1, 4)


def test_a_walltime_that_is_set_is_taken(tmp_path: Path) -> None:
    config = replace(example(), walltime=60, slurm=replace(require_table(example().slurm, "slurm"), setup=()))
    array, finish = submitted(config, tmp_path)
    assert array.startswith("sbatch --parsable /")
    assert "--time=60" in directives(recipes(config)["slurm/array.sh"])
    assert "afterany:7" in finish


def test_the_array_script_asks_for_what_the_configuration_says() -> None:
    script = recipes(replace(example(), walltime=60))["slurm/array.sh"]
    wanted = {"--array=1-32%8", "--cpus-per-task=4", "--mem=12G", "--gres=gpu:1", "--time=60", "--requeue", "--partition=gpu", "--nice=100"}
    assert wanted <= set(directives(script))
    assert "--signal=B:TERM@60" in directives(script)
    assert script.splitlines()[-1] == 'exec hypojax run /data/bids /data/out --batch 4 --shard "$SLURM_ARRAY_TASK_ID/32"'


def test_what_is_left_out_is_not_asked_for() -> None:
    script = recipes(ClusterConfig(inputs=("bids",), out="out", workers=3, slurm=Slurm()))["slurm/array.sh"]
    assert "--array=1-3" in directives(script)
    assert not re.search(r"--(time|gres|partition|account)", script)


def job_script(config: ClusterConfig, folder: Path) -> str:
    """The script of a worker as dask_jobqueue would submit it."""
    from hypojax.execute.cluster import interruptible

    with interruptible():
        from dask_jobqueue import SLURMCluster
    from distributed import Security

    options = slurm_options(replace(config, slurm=replace(require_table(config.slurm, "slurm"), logs=str(folder), shared=str(folder))))
    with SLURMCluster(**options, security=Security.temporary()) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        return str(cluster.job_script())


@pytest.mark.filterwarnings("ignore")  # of packages that we do not write
def test_the_job_script_of_a_dask_worker(tmp_path: Path) -> None:
    script = job_script(replace(example(), walltime=60), tmp_path)
    shown = directives(script)
    assert {"-J hypojax", "-p gpu", "-A neuro", "--cpus-per-task=4", "--mem=12G", "-t 60", "--gres=gpu:1", "--nice=100"} <= set(shown)
    command = script.splitlines()[-1]
    for words in (
        *(
            "tls://",
            "--nthreads 2",
            "--nanny",
            "--no-dashboard",
            "--dashboard-address 127.0.0.1:0",
            "--lifetime 55m",
            "--lifetime-stagger 4m",
        ),
        *("--protocol tls://", f"--tls-ca-file {tmp_path}", f"--tls-key {tmp_path}", f"--tls-cert {tmp_path}", "--memory-limit 12.00GiB"),
    ):
        assert words in command
    assert "--nworkers" not in command
    assert 'install -d -m 700 "$JAX_COMPILATION_CACHE_DIR"' in script
    assert "PRIVATE KEY" not in script
    assert "tcp://" not in script


@pytest.mark.filterwarnings("ignore")
def test_jobs_without_end_have_no_walltime_of_dask_jobqueue(tmp_path: Path) -> None:
    script = job_script(replace(example(), walltime=0), tmp_path)
    assert not [line for line in directives(script) if line.startswith("-t")]
    assert "--lifetime" not in script


# A scheduler that does not start leaves the socket of its HTTP server to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_certificates_no_scheduler_starts() -> None:
    """Who forgets ``security`` gets an error and no open port."""
    from distributed import Scheduler

    options = slurm_options(example())

    async def start() -> None:
        await Scheduler(protocol=options["protocol"], **{**options["scheduler_options"], "dashboard_address": "127.0.0.1:0"})

    with pytest.raises(RuntimeError, match="failed to start") as caught:
        asyncio.run(start())
    assert "TLS" in str(caught.value.__cause__)


def test_a_configuration_without_the_table() -> None:
    with pytest.raises(RunError, match=r"no table \[slurm\]; add it"):
        slurm_options(replace(example(), slurm=None))
