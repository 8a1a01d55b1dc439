"""A Dask client for each kind of cluster, with workers that are ready for the pipeline of a run."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Final

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, Scheduler, Security, SpecCluster
from distributed.system import MEMORY_LIMIT

from hypojax.execute.deploy import ClusterConfig, cuda_environments, kubernetes_resource, read_config, slurm_options
from hypojax.execute.deploy.manifests import PORT
from hypojax.execute.deploy.scripts import ALLOWED_FAILURES, WORKER_TTL
from hypojax.execute.worker import CORES, OURS
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings
from hypojax.tables.cells import counted

LOOPBACK: Final = "127.0.0.1"

WORKER_BYTES: Final = 2_000_000_000
"""Memory that a worker should have: scans of 0.7 mm take 1.2 GB (``benchmarks/stages.py``)."""

CONFIG: Final = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    "distributed.deploy.lost-worker-timeout": "1 minute",  # until then a nanny may start its worker again; after it `revive` does
    "distributed.scheduler.worker-ttl": WORKER_TTL,
    "distributed.worker.memory.spill": False,  # results are small, scans are never Dask's to move
    "distributed.worker.memory.target": False,
    # Dask would have memory given back at once: a scan's arrays then come from fresh pages each time, which costs a third of the pace.
    "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
}

QUIET: Final[dict[str, list[str]]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
"""Without a dashboard there is no page over HTTP either: Dask's server starts all the same, and has no password."""

PAGES: Final = {
    "distributed.scheduler.http.routes": [
        *("distributed.http.scheduler.info", "distributed.http.scheduler.json", "distributed.http.health", "distributed.http.statics"),
    ],
    "distributed.worker.http.routes": [],
}
"""With a dashboard; Dask's proxy to other machines stays out."""

GPU: Final = re.compile(r"\d+|(?:GPU|MIG)-\S+")
"""A GPU, or a part of one, in CUDA_VISIBLE_DEVICES: its number or its UUID."""

BATCHES: Final = 2
"""Batches that a worker is at in the same time, so that the networks have work while one of them begins or ends."""

Say = Callable[[str], None]


@contextmanager
def connected(where: ClusterSettings, *, say: Say) -> Iterator[Client]:
    """A client of the cluster that is wanted; what this process started ends with the block.

    Parameters
    ----------
    where
        Which cluster.
    say
        Called with a sentence what was started, and where its dashboard is.

    Raises
    ------
    RunError
        ``CLUSTER_LOST``: it cannot be reached. ``USAGE``: a package, a device or a part of the configuration is missing.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(_log_level())  # each by its name: Dask's configuration gives some a level of their own
    if where.dashboard and where.cluster != "kubernetes":  # there the image must have it
        _package("bokeh", extra="dashboard")
    with dask.config.set({**CONFIG, **(PAGES if where.dashboard else QUIET)}), _client(where, say=say) as client:
        if where.dashboard:
            say(f"dashboard: {client.dashboard_link}; every user of the scheduler's machine can look at it, names of scans included")
        yield client


@contextmanager
def _client(where: ClusterSettings, *, say: Say) -> Iterator[Client]:
    """The client alone."""
    if "://" in where.cluster:
        with _reached(where.cluster) as client:
            if where.cluster.startswith("tcp://") and LOOPBACK not in where.cluster:
                say(f"traffic with {where.cluster} is not encrypted: use it in a network of your own only, or a scheduler with tls://")
            say(f"scheduler {where.cluster}, {counted(len(client.nthreads()), 'worker')} now")
            yield client
        return
    if where.cluster == "kubernetes":
        config = _described(where)
        workers = where.workers or config.workers
        say(f"{counted(workers, 'pod')} asked for")
        with kubernetes_scheduler(config, workers) as address, _reached(address) as client:
            yield client
        return
    with _cluster(where, say=say) as cluster, Client(cluster) as client:
        yield client


@contextmanager
def _reached(address: str) -> Iterator[Client]:
    """A client of a scheduler that runs already; certificates come from Dask's configuration."""
    try:
        client = Client(address)
    except (OSError, ValueError, TypeError) as error:
        message = f"no Dask scheduler answers at {address} ({error}); check address, certificates (distributed.comm.tls) and firewall"
        raise RunError(Reason.CLUSTER_LOST, message) from error
    with client:
        yield client


def _cluster(where: ClusterSettings, *, say: Say) -> Any:  # noqa: ANN401  (whatever class the kind has)
    """The cluster of a kind that this process starts."""
    if where.cluster == "local":
        environments = core_environments(where.workers)
        say(f"{counted(len(environments), 'worker process', many='worker processes')} on {counted(CPU_COUNT, 'core')}")
        return on_this_machine(environments, dashboard=where.dashboard)
    if where.cluster == "cuda":
        environments = gpu_environments(where.workers)
        say(f"{counted(len(environments), 'worker process', many='worker processes')}, one a GPU")
        return on_this_machine(environments, dashboard=where.dashboard)
    config = _described(where)
    workers = where.workers or config.workers
    say(f"{counted(workers, 'job')} asked for")
    return _slurm(config, workers)


def _described(where: ClusterSettings) -> "ClusterConfig":
    """The cluster that a file describes, with the dashboard that is asked for here."""
    config = read_config(where.cluster_config or Path())
    return replace(config, dashboard=config.dashboard or where.dashboard)


def on_this_machine(environments: Sequence[Mapping[str, str]], *, dashboard: bool = False) -> SpecCluster:
    """A scheduler and one worker process an environment, on loopback, which speak TLS with certificates made for this cluster.

    Whoever may connect to a scheduler may run code as its owner, and every user of a machine reaches its loopback. The key lies in the
    memory of our own processes.

    Parameters
    ----------
    environments
        Variables of each worker, set before it starts: JAX looks at them when it is imported.
    dashboard
        Whether the scheduler shows Dask's pages.
    """
    secured = {"host": LOOPBACK, "protocol": "tls://", "security": Security.temporary()}
    bound = {**secured, "port": 0, "dashboard": dashboard, "dashboard_address": f"{LOOPBACK}:0"}
    memory = int(MEMORY_LIMIT / len(environments))
    shared = {**secured, "nthreads": BATCHES, "memory_limit": memory, "dashboard": False, "silence_logs": _log_level()}
    workers = {n: {"cls": Nanny, "options": {**shared, "env": {**environment, OURS: "1"}}} for n, environment in enumerate(environments)}
    scheduler = {"cls": Scheduler, "options": bound}
    start_resource_tracker()
    return SpecCluster(workers=workers, scheduler=scheduler, security=secured["security"], silence_logs=_log_level())


def start_resource_tracker() -> None:
    """Start the helper of multiprocessing so that it outlives a terminal that goes: it leaves Ctrl-C and SIGTERM to us, and SIGHUP not."""
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def revive(client: Client) -> None:
    """Start workers of this machine anew that are gone for good: a nanny gives up where its worker dies before it is up."""
    cluster = client.cluster
    if type(cluster) is SpecCluster:  # what others start is theirs to keep up
        cluster.scale(len(cluster.worker_spec))


def _log_level() -> int:
    """Of Dask's own messages: our own sentences say what happens to workers, unless somebody looks for a fault."""
    return logging.ERROR if logging.getLogger("hypojax").isEnabledFor(logging.DEBUG) else logging.CRITICAL


def core_environments(workers: int | None = None) -> list[dict[str, str]]:
    """Environments of workers that share the cores of this machine: as many as cores, if memory allows.

    >>> len(core_environments(3))
    3
    """
    cores = sorted(os.sched_getaffinity(0))
    count = workers or max(1, min(len(cores), int(MEMORY_LIMIT / WORKER_BYTES)))
    shares = [cores[n::count] or [cores[n % len(cores)]] for n in range(count)]
    platform = os.environ.get("JAX_PLATFORMS", "cpu")
    return [{"JAX_PLATFORMS": platform, CORES: ",".join(map(str, share))} for share in shares]


def gpu_environments(workers: int | None = None) -> list[dict[str, str]]:
    """Environments of workers with a GPU each.

    Raises
    ------
    RunError
        ``USAGE``: this machine has none, or fewer than are asked for.
    """
    there = visible_gpus()
    if not there or (workers or 0) > len(there):
        raise RunError(Reason.USAGE, f"--cluster cuda finds {len(there)} GPUs, {workers or 'one or more'} are wanted; use --cluster local")
    return cuda_environments(there[: workers or len(there)])


def visible_gpus() -> list[str]:
    """GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; found without loading JAX.

    As CUDA does, the names count up to the first that is none: of "0,-1,1" it is the first alone, of "-1" and of "" none.
    """
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return list(takewhile(GPU.fullmatch, map(str.strip, named.split(","))))
    return [path.name.removeprefix("nvidia") for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]


def _slurm(config: "ClusterConfig", workers: int) -> Any:  # noqa: ANN401
    """Jobs of a SLURM cluster; traffic between them is encrypted with certificates made for this run."""
    with interruptible():
        jobqueue = _package("dask_jobqueue", extra="slurm")
    cluster = jobqueue.SLURMCluster(**slurm_options(config), security=Security.temporary())
    cluster.scale(jobs=workers)
    return cluster


@contextmanager
def interruptible() -> Iterator[None]:
    """Keep what Ctrl-C does: dask_jobqueue 0.9 takes it for itself when it is imported, and ends the process without a table."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _package(name: str, *, extra: str) -> Any:  # noqa: ANN401
    """A package of an extra.

    Raises
    ------
    RunError
        ``USAGE``: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise RunError(Reason.USAGE, f"this needs the package {name}; install it with: python -m pip install 'hypojax[{extra}]'") from error


FORWARDING: Final = re.compile(r"Forwarding from 127\.0\.0\.1:([0-9]+)")
"""What ``kubectl port-forward`` says once it listens."""

TRIES: Final = 60
PAUSE: Final = 5.0
"""Seconds between two tries: pods need minutes where an image or a node must come first."""


@contextmanager
def kubernetes_scheduler(config: ClusterConfig, workers: int, *, pause: float = PAUSE) -> Iterator[str]:
    """The address on loopback of the scheduler of a new cluster with so many worker pods, which goes when the block ends.

    Parameters
    ----------
    config
        Its description.
    workers
        Worker pods.
    pause
        Seconds between two tries to reach it.

    Raises
    ------
    RunError
        ``USAGE``: there is no ``kubectl``, or it was refused. ``CLUSTER_LOST``: the scheduler does not come up.
    """
    resource = kubernetes_resource(config)
    resource["spec"]["worker"]["replicas"] = workers
    name, namespace = resource["metadata"]["name"], resource["metadata"]["namespace"]
    _kubectl("apply", "--filename", "-", given=json.dumps(resource))
    try:
        with _forwarded(name, namespace, pause=pause) as port:
            yield f"tls://127.0.0.1:{port}"
    finally:
        _kubectl("--namespace", namespace, "delete", f"daskcluster/{name}", "--wait=false")


@contextmanager
def _forwarded(name: str, namespace: str, *, pause: float) -> Iterator[int]:
    """A port of this machine that leads to the scheduler."""
    command = [_program(), "--namespace", namespace, "port-forward", f"service/{name}-scheduler", f":{PORT}"]
    said = ""
    for _ in range(TRIES):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
            said = process.stdout.readline() if process.stdout else ""
            if found := FORWARDING.search(said):
                try:
                    yield int(found[1])
                finally:
                    process.terminate()
                return
        time.sleep(pause)
    message = f"the scheduler of {name!r} does not come up ({said.strip()})"
    raise RunError(Reason.CLUSTER_LOST, f"{message}; see: kubectl --namespace {namespace} describe pods")


def _kubectl(*arguments: str, given: str | None = None) -> None:
    """Run ``kubectl``."""
    done = subprocess.run([_program(), *arguments], input=given, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        message = f"kubectl {' '.join(arguments)} was refused ({done.stderr.strip()})"
        raise RunError(Reason.USAGE, f"{message}; the cluster needs the Dask operator, and you the right to make a DaskCluster there")


def _program() -> str:
    """Where ``kubectl`` is."""
    if (found := shutil.which("kubectl")) is None:
        raise RunError(Reason.USAGE, "--cluster kubernetes needs kubectl on the PATH; install it, and name the cluster to it")
    return found
