"""The page in the browser on Kubernetes: one pod with nginx beside it, which alone listens and only with TLS, and the way to it."""

from dataclasses import replace
from typing import Any, Final

from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.cluster_tables import ServedPage, require_table
from hypojax.execute.deploy.manifests import LEAVING, Object, container, healthy, pod, where
from hypojax.execute.deploy.page_files import PAGE_PORT, PAGE_TLS, PAGE_USERS, TLS_PORT, nginx_config, page_command

PROXY_SIZE: Final = {"cpu": "500m", "memory": "256Mi"}

CONFIGURATION: Final = "/etc/hypojax/nginx"

HOUR: Final = "3600"
"""Seconds that a connection may be silent: news of a scan come when there are some."""


def page_objects(config: ClusterConfig) -> list[Object]:
    """Configuration, deployment, service, ingress and network policy of the page.

    Raises
    ------
    RunError
        ``USAGE``: the configuration has no table [app] or no table [kubernetes].
    """
    page = require_table(config.app, "app")
    # Its pods are none of a run, and get no keys of buckets.
    own = replace(config, kubernetes=replace(require_table(config.kubernetes, "kubernetes"), credentials=""))
    return [_configuration(own, page), _deployment(own, page), _service(own), _ingress(own, page), _policy(own, page)]


def page_labels(config: ClusterConfig) -> dict[str, str]:
    """Labels of all that belongs to the page."""
    return {"app.kubernetes.io/name": "hypojax-app", "app.kubernetes.io/instance": f"{config.name}-app"}


def _object(config: ClusterConfig, kind: str, version: str, **more: Any) -> Object:  # noqa: ANN401 - any field of an object
    """An object with the name of the page."""
    namespace = require_table(config.kubernetes, "kubernetes").namespace
    about = {"name": f"{config.name}-app", "namespace": namespace, "labels": page_labels(config)}
    return {"apiVersion": version, "kind": kind, "metadata": about, **more}


def _configuration(config: ClusterConfig, page: ServedPage) -> Object:
    """The configuration of nginx; who visits is what the ingress says."""
    return _object(config, "ConfigMap", "v1", data={"nginx.conf": nginx_config(page, visitor="$http_x_forwarded_for")})


def _deployment(config: ClusterConfig, page: ServedPage) -> Object:
    """One pod: sessions, queue and networks are in one process. Sessions go with the pod."""
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": page_labels(config)},
        "template": {"metadata": {"labels": page_labels(config)}, "spec": _pod(config, page)},
    }
    return _object(config, "Deployment", "apps/v1", spec=spec)


def _pod(config: ClusterConfig, page: ServedPage) -> Object:
    """The page and nginx, which share a loopback."""
    gpus = {"nvidia.com/gpu": str(page.gpus)} if page.gpus else {}
    size = {"cpu": str(page.cores), "memory": f"{page.memory}Gi", **gpus}
    served = {**container(config, "page", page_command(page), size=size, variables={}), **healthy(PAGE_PORT)}
    place = where(config) if page.gpus else {}
    spec = pod(config, served, terminationGracePeriodSeconds=LEAVING, **place)
    room = {"scratch": {"emptyDir": {"sizeLimit": f"{page.disk_gibibytes}Gi"}}}
    volumes = [{**volume, **room.get(volume["name"], {})} for volume in spec["volumes"]]
    served = {**served, "volumeMounts": [*served["volumeMounts"], {"name": "users", "mountPath": PAGE_USERS, "readOnly": True}]}
    return {**spec, "containers": [served, _proxy(page, served["securityContext"])], "volumes": [*volumes, *_closed_volumes(config, page)]}


def _proxy(page: ServedPage, security: Object) -> Object:
    """nginx, with as few rights as the page."""
    ask = {"httpGet": {"scheme": "HTTPS", "port": "https", "path": "/health", "httpHeaders": [{"name": "Host", "value": page.host}]}}
    return {
        "name": "proxy",
        "image": page.proxy,
        "command": ["nginx", "-c", f"{CONFIGURATION}/nginx.conf", "-g", "daemon off;"],
        "ports": [{"name": "https", "containerPort": TLS_PORT, "protocol": "TCP"}],
        "resources": {"requests": dict(PROXY_SIZE), "limits": dict(PROXY_SIZE)},
        "volumeMounts": [
            {"name": "nginx", "mountPath": CONFIGURATION, "readOnly": True},
            {"name": "page-tls", "mountPath": PAGE_TLS, "readOnly": True},
            {"name": "proxy-scratch", "mountPath": "/tmp"},  # noqa: S108 - of a container
        ],
        "securityContext": security,
        "readinessProbe": {**ask, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 3},
    }


def _closed_volumes(config: ClusterConfig, page: ServedPage) -> list[Object]:
    """What only the group of the pod's user reads, and what nginx writes."""
    return [
        {"name": "users", "secret": {"secretName": page.users, "defaultMode": 0o440}},
        {"name": "page-tls", "secret": {"secretName": page.tls_secret, "defaultMode": 0o440}},
        {"name": "nginx", "configMap": {"name": f"{config.name}-app"}},
        {"name": "proxy-scratch", "emptyDir": {"sizeLimit": "1Gi"}},
    ]


def _service(config: ClusterConfig) -> Object:
    """How the ingress finds it."""
    port = {"name": "https", "port": 443, "targetPort": "https", "protocol": "TCP"}
    return _object(config, "Service", "v1", spec={"type": "ClusterIP", "selector": page_labels(config), "ports": [port]})


def _ingress(config: ClusterConfig, page: ServedPage) -> Object:
    """The way in, with TLS up to the pod, and the limits that uploads and news of a scan need."""
    prefix = "nginx.ingress.kubernetes.io"
    notes = {
        f"{prefix}/backend-protocol": "HTTPS",
        f"{prefix}/proxy-body-size": "0",  # nginx beside the page has the limit
        f"{prefix}/proxy-request-buffering": "off",
        f"{prefix}/proxy-buffering": "off",
        f"{prefix}/proxy-read-timeout": HOUR,
        f"{prefix}/proxy-send-timeout": HOUR,
    }
    backend = {"service": {"name": f"{config.name}-app", "port": {"name": "https"}}}
    rule = {"host": page.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    spec = {"ingressClassName": page.ingress_class, "tls": [{"hosts": [page.host], "secretName": page.tls_secret}], "rules": [rule]}
    made = _object(config, "Ingress", "networking.k8s.io/v1", spec=spec)
    return {**made, "metadata": {**made["metadata"], "annotations": notes}}


def _policy(config: ClusterConfig, page: ServedPage) -> Object:
    """Only the ingress reaches nginx, and the pod reaches nobody."""
    source = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": page.ingress_namespace}}}
    spec = {
        "podSelector": {"matchLabels": page_labels(config)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [source], "ports": [{"protocol": "TCP", "port": TLS_PORT}]}],
        "egress": [],
    }
    return _object(config, "NetworkPolicy", "networking.k8s.io/v1", spec=spec)
