"""Kubernetes: a cluster of the Dask operator with its client, and an indexed job that needs no Dask; all pods have few rights."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypojax.execute.deploy.cluster_config import ClusterConfig, is_url
from hypojax.execute.deploy.cluster_tables import require_table
from hypojax.execute.deploy.scripts import ALLOWED_FAILURES, KEEP_MEMORY, THREADS, WORKER_TTL

Object = dict[str, Any]
"""A Kubernetes object or a part of one, as its YAML says it."""

USER: Final = 10001
"""User and group in the image: nobody on the host."""

CACHE: Final = "/cache"
TEMPORARY: Final = "/scratch"
TLS: Final = "/etc/hypojax/tls"
"""Where a pod has its own folders and its certificates."""

SCRATCH_SIZE: Final = "16Gi"
"""Most that a pod may write to its own folders."""

CERTIFICATE: Final = {"ca-file": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
"""Files of the secret, as cert-manager names them, under what Dask calls them."""


def labels(config: ClusterConfig) -> dict[str, str]:
    """Labels of everything that belongs to one run; the network policy goes by them."""
    return {"app.kubernetes.io/name": "hypojax", "app.kubernetes.io/instance": config.name}


def metadata(config: ClusterConfig, name: str) -> Object:
    """Name, namespace and labels of an object."""
    return {"name": name, "namespace": require_table(config.kubernetes, "kubernetes").namespace, "labels": labels(config)}


def tls_options() -> list[str]:
    """Options of ``dask scheduler`` and ``dask worker`` for encrypted and mutually certified connections."""
    files = [word for option, file in CERTIFICATE.items() for word in (f"--tls-{option}", f"{TLS}/{file}")]
    return ["--protocol", "tls", *files]


def client_variables() -> dict[str, str]:
    """The same for a client, which has no such options but reads Dask's configuration."""
    prefix = "DASK_DISTRIBUTED__COMM__TLS__"
    return {
        f"{prefix}CA_FILE": f"{TLS}/{CERTIFICATE['ca-file']}",
        f"{prefix}CLIENT__CERT": f"{TLS}/{CERTIFICATE['cert']}",
        f"{prefix}CLIENT__KEY": f"{TLS}/{CERTIFICATE['key']}",
    }


def container(
    config: ClusterConfig, name: str, args: Sequence[str], *, size: Mapping[str, str], variables: Mapping[str, str], tls: bool = False
) -> Object:
    """The container of a pod.

    Parameters
    ----------
    args
        What the image is to run.
    size
        Resources that it gets, neither more nor less.
    variables
        Environment, besides what all containers have.
    tls
        Whether it talks to others and needs its certificate.
    """
    settings = require_table(config.kubernetes, "kubernetes")
    everywhere = {
        "HOME": CACHE,
        "TMPDIR": TEMPORARY,
        "DASK_TEMPORARY_DIRECTORY": TEMPORARY,
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True",
        "JAX_COMPILATION_CACHE_DIR": f"{CACHE}/jax",
    }
    mounts = [
        {"name": "scratch", "mountPath": TEMPORARY},
        {"name": "cache", "mountPath": CACHE},
        *([{"name": "tls", "mountPath": TLS, "readOnly": True}] if tls else []),
        *([{"name": "data", "mountPath": settings.mount}] if settings.claim else []),
    ]
    return {
        "name": name,
        "image": config.image.name,
        "args": list(args),
        "env": [{"name": key, "value": value} for key, value in {**everywhere, **variables}.items()],
        **({"envFrom": [{"secretRef": {"name": settings.credentials}}]} if settings.credentials else {}),
        "resources": {"requests": dict(size), "limits": dict(size)},
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def pod(config: ClusterConfig, contained: Object, **more: Any) -> Object:  # noqa: ANN401 - any field of a pod
    """The specification of a pod with one container, and the volumes that it mounts.

    Parameters
    ----------
    contained
        The container.
    more
        Further fields of the specification.
    """
    settings = require_table(config.kubernetes, "kubernetes")
    volumes: dict[str, Object] = {
        "scratch": {"emptyDir": {"sizeLimit": SCRATCH_SIZE}},
        "cache": {"emptyDir": {"sizeLimit": SCRATCH_SIZE}},
        # Only the group that the pod's user is in may read the key.
        "tls": {"secret": {"secretName": settings.tls_secret, "defaultMode": 0o440}},
        "data": {"persistentVolumeClaim": {"claimName": settings.claim}},
    }
    return {
        **more,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [contained],
        "volumes": [{"name": mount["name"], **volumes[mount["name"]]} for mount in contained["volumeMounts"]],
    }


def where(config: ClusterConfig) -> Object:
    """Fields that send a pod to the nodes of workers."""
    settings = require_table(config.kubernetes, "kubernetes")
    tolerations = [
        {"key": taint.key, "operator": taint.operator, **({"value": taint.value} if taint.value else {}), "effect": taint.effect}
        for taint in settings.tolerations
    ]
    found = {"nodeSelector": dict(settings.node_selector), "tolerations": tolerations}
    return {key: value for key, value in found.items() if value}


def healthy(port: int) -> Object:
    """Probes of a Dask process, whose HTTP server listens on loopback only: they ask from inside the container."""
    question = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/health', timeout=5)"
    ask = {"exec": {"command": ["python", "-c", question]}, "timeoutSeconds": 15}
    return {
        "readinessProbe": {**ask, "initialDelaySeconds": 5, "periodSeconds": 10, "failureThreshold": 3},
        # Compiling a network takes the interpreter for a while: only minutes of silence mean that the process is stuck.
        "livenessProbe": {**ask, "initialDelaySeconds": 60, "periodSeconds": 30, "failureThreshold": 10},
    }


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

SCHEDULER_LIMITS: Final = {
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
    contained = container(config, "scheduler", args, size=SMALL, variables=SCHEDULER_LIMITS, tls=True)
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
