"""A Dask cluster of the operator in Kubernetes, made and taken away by ``kubectl``, and a way to its scheduler.

`dask_kubernetes.KubeCluster` speaks to schedulers without encryption only (2026.3), so it cannot reach this one.
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hypojax.deploy import ClusterConfig, kubernetes_resource
from hypojax.deploy.kubernetes import PORT
from hypojax.reason import Reason, RunError

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
