"""Kubernetes: a cluster of the Dask operator with its client, and an indexed job that needs no Dask."""

from typing import Final

from hypojax.deploy.config import ClusterConfig, is_url
from hypojax.deploy.pod import Object, client_variables, container, healthy, labels, metadata, pod, tls_options, where
from hypojax.deploy.script import ALLOWED_FAILURES, KEEP_MEMORY, WORKER_TTL
from hypojax.deploy.sections import require_table
from hypojax.deploy.slurm import THREADS

PORT: Final = 8786
HTTP: Final = 8787
WORKER_HTTP: Final = 8788
"""Ports of the scheduler, of its HTTP server and of those of workers."""

SMALL: Final = {"cpu": "1", "memory": "4Gi"}
"""Size of scheduler and client: they see ids and small records, never a scan."""

RETRIES: Final = 20
"""Starts of a job that ended without a verdict on its scans."""

VERDICTS: Final = [2, 3]
"""Exit codes of `hypojax run` that another start would not change: some scans failed, or all."""

PATIENCE: Final = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(ALLOWED_FAILURES),
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": WORKER_TTL,
}
"""The scheduler's, as `hypojax.execute` has it where it starts one."""

LEAVING: Final = 60
"""Seconds that a pod has to end when its node is taken away."""


def kubernetes_resource(config: ClusterConfig) -> Object:
    """A ``DaskCluster`` for the Dask operator: scheduler and workers, which speak TLS only.

    Raises
    ------
    RunError
        ``USAGE``: the configuration has no table [kubernetes].
    """
    gpus = {"nvidia.com/gpu": str(config.gpus)} if config.gpus else {}
    return dask_cluster(config, config.name, worker_pod(config, config.name, devices=gpus, place=where(config)))


def dask_cluster(config: ClusterConfig, name: str, worker: Object) -> Object:
    """A ``DaskCluster`` whose workers are such pods."""
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskCluster",
        "metadata": metadata(config, name),
        "spec": {
            "scheduler": {"spec": _scheduler_pod(config), "service": _service(config, name)},
            "worker": {"replicas": config.workers, "spec": worker},
        },
    }


def scheduler_address(config: ClusterConfig, name: str) -> str:
    """Where clients and workers find the scheduler."""
    return f"tls://{name}-scheduler.{require_table(config.kubernetes, 'kubernetes').namespace}.svc:{PORT}"


def worker_pod(config: ClusterConfig, name: str, *, devices: Object, place: Object) -> Object:
    """The pod of a worker.

    Parameters
    ----------
    name
        Of the cluster it belongs to.
    devices
        GPUs or TPU chips, as resources.
    place
        Fields that choose its node.
    """
    args = [
        *("dask", "worker", *tls_options(), "--name", "$(DASK_WORKER_NAME)", "--nworkers", "1", "--nthreads", str(THREADS)),
        *("--memory-limit", f"{config.memory}GiB", "--no-dashboard", "--dashboard-address", f"127.0.0.1:{WORKER_HTTP}"),
        *("--death-timeout", "300"),
    ]
    size = {"cpu": str(config.cores), "memory": f"{config.memory}Gi", **devices}
    variables = {"DASK_SCHEDULER_ADDRESS": scheduler_address(config, name), **KEEP_MEMORY}
    contained = container(config, "worker", args, size=size, variables=variables, tls=True)
    return pod(config, {**contained, **healthy(WORKER_HTTP)}, terminationGracePeriodSeconds=LEAVING, **place)


def _scheduler_pod(config: ClusterConfig) -> Object:
    """The pod of the scheduler. Its HTTP server listens on loopback; with an autoscaler also to the operator, without any pages."""
    open_to_operator = bool(require_table(config.kubernetes, "kubernetes").maximum)
    address = f"127.0.0.1:{HTTP}" + (f",$(POD_IP):{HTTP}" if open_to_operator else "")
    args = ["dask", "scheduler", *tls_options(), "--port", str(PORT), "--dashboard-address", address]
    args += [] if config.dashboard and not open_to_operator else ["--no-dashboard"]
    contained = container(config, "scheduler", args, size=SMALL, variables=PATIENCE, tls=True)
    if open_to_operator:
        routes = "['distributed.http.scheduler.api', 'distributed.http.health']"
        own = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        only = {"name": "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES", "value": routes}
        contained = {**contained, "env": [*contained["env"], own, only]}
    ports = [{"name": "tcp-comm", "containerPort": PORT, "protocol": "TCP"}]
    return pod(config, {**contained, "ports": [*ports, *_http_port(config, "containerPort")], **healthy(HTTP)})


def _service(config: ClusterConfig, name: str) -> Object:
    """How the scheduler is reached inside the cluster."""
    port = {"name": "tcp-comm", "port": PORT, "targetPort": "tcp-comm", "protocol": "TCP"}
    selector = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    http = [{**port, "targetPort": port["name"]} for port in _http_port(config, "port")]
    return {"type": "ClusterIP", "selector": selector, "ports": [port, *http]}


def _http_port(config: ClusterConfig, kind: str) -> list[Object]:
    """The port that the operator's autoscaler asks; none without one."""
    wanted = require_table(config.kubernetes, "kubernetes").maximum
    return [{"name": "http-dashboard", kind: HTTP, "protocol": "TCP"}] if wanted else []


def autoscaler(config: ClusterConfig) -> Object:
    """A ``DaskAutoscaler``: the operator asks the scheduler how many workers it has use for."""
    settings = require_table(config.kubernetes, "kubernetes")
    return {
        "apiVersion": "kubernetes.dask.org/v1",
        "kind": "DaskAutoscaler",
        "metadata": metadata(config, config.name),
        "spec": {"cluster": config.name, "minimum": settings.minimum, "maximum": settings.maximum},
    }


def client_job(config: ClusterConfig, name: str) -> Object:
    """The job that runs the client of a cluster; started again, it goes on."""
    command = config.arguments("--cluster", scheduler_address(config, name), "--workers", str(config.workers))
    contained = container(config, "client", command, size=SMALL, variables=client_variables(), tls=True)
    template = {"metadata": {"labels": labels(config)}, "spec": pod(config, contained, restartPolicy="Never")}
    job = {"backoffLimit": RETRIES, "podFailurePolicy": _verdicts("client", "FailJob"), "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(config, f"{name}-client"), "spec": job}


def array_job(config: ClusterConfig) -> Object:
    """An indexed job: each pod does its share of the scans, as a task of a SLURM array does, and no pod needs to know of another."""
    # The index counts from 0 and shards from 1; the arguments come behind the script, where no shell reads them.
    line = 'exec "$@" --shard "$((JOB_COMPLETION_INDEX + 1))/' + f'{config.workers}"'
    gpus = {"nvidia.com/gpu": str(config.gpus)} if config.gpus else {}
    size = {"cpu": str(config.cores), "memory": f"{config.memory}Gi", **gpus}
    contained = container(config, "worker", ["bash", "-c", line, "bash", *config.arguments()], size=size, variables={})
    spec = pod(config, contained, restartPolicy="Never", terminationGracePeriodSeconds=LEAVING, **where(config))
    return indexed_job(config, f"{config.name}-array", completions=config.workers, spec=spec)


def indexed_job(config: ClusterConfig, name: str, *, completions: int, spec: Object) -> Object:
    """A job of so many numbered pods. One that was evicted starts again; one that gave its verdict does not, and stops no other."""
    job = {
        "completionMode": "Indexed",
        "completions": completions,
        "parallelism": completions,
        "backoffLimitPerIndex": RETRIES,
        "podFailurePolicy": _verdicts("worker", "FailIndex"),
        "template": {"metadata": {"labels": labels(config)}, "spec": spec},
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(config, name), "spec": job}


def _verdicts(name: str, action: str) -> Object:
    """What ends a job for good; the loss of a node does not even count as a try."""
    lost = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"rules": [lost, {"action": action, "onExitCodes": {"containerName": name, "operator": "In", "values": VERDICTS}}]}


def volume_claim(config: ClusterConfig) -> Object:
    """The volume that all pods write to."""
    settings = require_table(config.kubernetes, "kubernetes")
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": f"{settings.storage}Gi"}}}
    named = {"storageClassName": settings.storage_class} if settings.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata(config, settings.claim),
        "spec": {**spec, **named},
    }


def network_policy(config: ClusterConfig) -> Object:
    """Who may talk to whom: the pods of a run to one another, to name servers, and to buckets where there are some."""
    settings = require_table(config.kubernetes, "kubernetes")
    own = [{"podSelector": {"matchLabels": labels(config)}}]
    operator = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.operator_namespace}}}]
    asked = [{"from": operator, "ports": [{"protocol": "TCP", "port": HTTP}]}] if settings.maximum else []
    buckets = [{"ports": [{"protocol": "TCP", "port": 443}]}] if any(map(is_url, (*config.inputs, config.out))) else []
    names = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
    spec = {
        "podSelector": {"matchLabels": labels(config)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": own}, *asked],
        "egress": [{"to": own}, names, *buckets],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata(config, config.name), "spec": spec}
