"""Pods: one container of the image, with no more rights than it needs and nothing to write to but what is mounted."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.sections import require_table

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
