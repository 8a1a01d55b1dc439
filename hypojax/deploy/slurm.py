"""SLURM: an array job without Dask, and the options of a `dask_jobqueue.SLURMCluster`."""

import shlex
from collections.abc import Iterable
from typing import Any, Final

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.script import CACHE_LINES, KEEP_MEMORY, script
from hypojax.deploy.sections import Slurm, require_table

THREADS: Final = 2
"""Batches that one worker process has on the way: one on the device, one read or written."""

HTTP: Final = "127.0.0.1:0"
"""Address of the scheduler's HTTP server, which starts also without its dashboard."""

NO_DASHBOARD: Final = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""Of workers. Their HTTP server starts also without the dashboard, and would listen to everybody."""

NOTICE: Final = 60
"""Seconds before the end of its time at which a task is told to stop."""


def array_script(config: ClusterConfig) -> str:
    """The array job: each task does its share of the scans.

    ``exec`` puts hypojax in the place of the shell, which is where ``B:`` sends the signal: what is done is recorded before the end.
    A preempted task is queued again and goes on; so does the same script submitted again.
    """
    slurm = require_table(config.slurm, "slurm")
    tasks = slurm.tasks or config.workers
    limit = f"%{config.workers}" if config.workers < tasks else ""
    directives = [
        f"--job-name={config.name}",
        f"--array=1-{tasks}{limit}",
        *_resources(config, time=True),
        "--requeue",
        "--open-mode=append",
        f"--signal=B:TERM@{NOTICE}",
        f"--output={slurm.logs}/%x-%A_%a.log",
        *slurm.directives,
    ]
    command = config.command("--shard") + f' "$SLURM_ARRAY_TASK_ID/{tasks}"'
    what = f"Each of {tasks} tasks does its share of the scans. Submit it with submit.sh."
    return script(what, [*slurm.setup, *CACHE_LINES, f"exec {command}"], directives=_sbatch(directives))


def finish_script(config: ClusterConfig) -> str:
    """The job after the array, whatever became of its tasks: writes the tables once more, so that they hold every scan done so far."""
    slurm = require_table(config.slurm, "slurm")
    directives = [f"--job-name={config.name}-finish", *_resources(config, gpus=0), f"--output={slurm.logs}/%x-%j.log", *slurm.directives]
    command = shlex.join(["hypojax", "export", config.out])
    return script("Writes the tables from what all tasks recorded.", [*slurm.setup, f"exec {command}"], directives=_sbatch(directives))


def submit_script(config: ClusterConfig) -> str:
    """Submits both, the second to start when the first has ended."""
    slurm = require_table(config.slurm, "slurm")
    time, option = _planned(config, slurm)
    lines = [
        'here=$(cd "$(dirname "$0")" && pwd)',
        f"mkdir -p {shlex.quote(slurm.logs)}  # SLURM makes no folders, and a task without its log fails in silence",
        *time,
        f'array=$(sbatch --parsable {option}"$@" "$here/array.sh")',
        'finish=$(sbatch --parsable --dependency="afterany:${array%%;*}" "$here/finish.sh")',
        'echo "array $array, finish $finish"',
    ]
    return script("Submits the array and what finishes it; its arguments go to sbatch with the array.", lines)


def _planned(config: ClusterConfig, slurm: Slurm) -> tuple[list[str], str]:
    """Lines that find the time of a task from the scans that are left, and the option that asks for it; none where the walltime is set."""
    if config.walltime is not None:
        return [], ""
    crew = {"--workers": slurm.tasks or config.workers, "--cores": config.cores, "--memory": f"{config.memory}GiB", "--gpus": config.gpus}
    options = [word for name, value in crew.items() for word in (name, str(value))]
    plan = shlex.join(["hypojax", "plan", *config.inputs, config.out, *config.options, *options, "--walltime"])
    what = "# The time of a task is measured here, for the scans that are left; walltime in the configuration sets it instead."
    return [*slurm.setup, what, f"minutes=$({plan})"], '--time="$minutes" '


def slurm_options(config: ClusterConfig) -> dict[str, Any]:
    """Keyword arguments of `dask_jobqueue.SLURMCluster`: one worker process a job.

    The caller adds ``security``, such as `distributed.Security.temporary()`. Its absence cannot go unnoticed: the protocol is TLS, which
    does not start without. The temporary keys lie in ``shared_temp_directory``.

    Raises
    ------
    RunError
        ``USAGE``: the configuration has no table [slurm].

    Examples
    --------
    >>> from hypojax.deploy.sections import Slurm
    >>> options = slurm_options(ClusterConfig(inputs=("bids",), out="out", walltime=60, slurm=Slurm()))
    >>> options["walltime"], options["worker_extra_args"][-4:]
    ('60', ['--lifetime', '55m', '--lifetime-stagger', '4m'])
    """
    slurm = require_table(config.slurm, "slurm")
    return {
        "job_name": config.name,
        "queue": slurm.partition or None,
        "account": slurm.account or None,
        "cores": THREADS,
        "processes": 1,
        "job_cpu": config.cores,
        "memory": f"{config.memory}GiB",
        "job_mem": f"{config.memory}G",
        "walltime": str(config.walltime) if config.walltime else None,
        # Without a walltime the default of dask_jobqueue would stand in the script: 30 minutes.
        "job_directives_skip": [] if config.walltime else ["-t "],
        "job_extra_directives": ["--requeue", *_gres(config.gpus), *slurm.directives],
        "job_script_prologue": [*slurm.setup, *CACHE_LINES, *(f'export {name}="{value}"' for name, value in KEEP_MEMORY.items())],
        "local_directory": slurm.scratch,
        "log_directory": slurm.logs,
        "shared_temp_directory": slurm.shared,
        "interface": slurm.interface or None,
        "protocol": "tls://",
        "scheduler_options": {"dashboard_address": HTTP, "dashboard": config.dashboard},
        "worker_extra_args": [*NO_DASHBOARD, *_lifetime(config)],
    }


def _lifetime(config: ClusterConfig) -> list[str]:
    """Options that let a worker leave before its job is ended: it hands on what it has not begun."""
    if config.lifetime is None:
        return []
    minutes, stagger = config.lifetime
    return ["--lifetime", f"{minutes}m", "--lifetime-stagger", f"{stagger}m"]


def _resources(config: ClusterConfig, *, gpus: int | None = None, time: bool = False) -> list[str]:
    """What one task asks for."""
    slurm = require_table(config.slurm, "slurm")
    wanted = {
        "--partition": slurm.partition,
        "--account": slurm.account,
        "--time": str(config.walltime) if time and config.walltime else "",
    }
    options = [f"{option}={value}" for option, value in wanted.items() if value]
    size = ["--ntasks=1", f"--cpus-per-task={config.cores}", f"--mem={config.memory}G"]
    return [*options, *size, *_gres(config.gpus if gpus is None else gpus)]


def _gres(gpus: int) -> list[str]:
    """The request for GPUs; none for none."""
    return [f"--gres=gpu:{gpus}"] if gpus else []


def _sbatch(directives: Iterable[str]) -> list[str]:
    """Lines that sbatch reads."""
    return [f"#SBATCH {directive}" for directive in directives]
