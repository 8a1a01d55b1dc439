"""Shell scripts: one machine with several processes, and a SLURM array; and what Dask needs to ask SLURM for workers."""

import shlex
from collections.abc import Iterable, Sequence
from typing import Any, Final

from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.cluster_tables import Slurm, require_table

MADE_BY: Final = "Made by `hypojax deploy`: change the configuration instead of this file."

CACHE_LINES: Final = (
    'export JAX_COMPILATION_CACHE_DIR="${JAX_COMPILATION_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hypojax/jax}"',
    'install -d -m 700 "$JAX_COMPILATION_CACHE_DIR"',
)
"""Where compiled code lies between starts. What lies there is executed, so that nobody else may write it."""

ALLOWED_FAILURES: Final = 0
"""Workers that a batch may crash before its scheduler gives it back: `hypojax.execute.dispatch` decides then, by the in-flight markers of
its scans. One number for every scheduler that we start."""

WORKER_TTL: Final = "2 minutes"
"""Time after which a scheduler gives up a worker that nothing is heard of, such as one whose cable was pulled."""

KEEP_MEMORY: Final = {
    "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON": "{'MALLOC_TRIM_THRESHOLD_': 268435456, 'MALLOC_MMAP_THRESHOLD_': 33554432}",
}
"""Variables of workers: Dask has memory given back at once; arrays then come from fresh pages each time, a third slower."""


def script(what: str, lines: Iterable[str], *, directives: Iterable[str] = ()) -> str:
    """A script of bash that ends at the first error.

    Parameters
    ----------
    what
        A sentence for whoever opens it.
    lines
        Its commands.
    directives
        Lines for a queue, which must come before all commands.
    """
    return "\n".join(["#!/usr/bin/env bash", f"# {what}", f"# {MADE_BY}", *directives, "set -eo pipefail", *lines]) + "\n"


def cuda_environments(gpus: Sequence[str]) -> list[dict[str, str]]:
    """Environment of each worker: its GPU, and memory taken as it is needed.

    They must be set before JAX starts, which a nanny does with what it is given as ``env``. A process of JAX takes three quarters of the
    memory of every GPU it sees when it starts; a second one would find none.

    Parameters
    ----------
    gpus
        Numbers or UUIDs of the GPUs that are ours, as in ``CUDA_VISIBLE_DEVICES`` of this process where a queue set it.

    Examples
    --------
    >>> [environment["CUDA_VISIBLE_DEVICES"] for environment in cuda_environments(["3", "GPU-8932f937"])]
    ['3', 'GPU-8932f937']
    """
    return [{"CUDA_VISIBLE_DEVICES": name, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} for name in gpus]


def local_script(config: ClusterConfig) -> str:
    """One machine without GPUs: a few worker processes."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'local', '--workers', str(config.workers))}"]
    return script("One machine, several worker processes.", lines)


def cuda_script(config: ClusterConfig) -> str:
    """One machine with GPUs: as many workers as GPUs that it has."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'cuda')}"]
    return script("One machine, one worker process for each of its GPUs.", lines)


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
    >>> from hypojax.execute.deploy.cluster_tables import Slurm
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
