"""TPU hosts of Google Kubernetes Engine: one worker a host, and the hosts of a slice as shards of one run."""

from typing import Final

from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.cluster_tables import require_table
from hypojax.execute.deploy.manifests import LEAVING, Object, container, dask_cluster, indexed_job, metadata, pod, where, worker_pod
from hypojax.execute.deploy.scripts import MADE_BY

SLICE = '''"""A host of a TPU slice does its share of the scans.

{made_by}

The hosts of a slice must start JAX together, which `jax.distributed` sees to. After that no collective runs: each host has its own copy
of the networks on its own chips, and its own scans. They also end together: one that is done waits for the others, and if one dies all
start again and go on.
"""

import sys

import jax

from hypojax.cli import main

jax.distributed.initialize(shutdown_timeout_seconds={timeout})
sys.exit(main([*sys.argv[1:], "--shard", f"{{jax.process_index() + 1}}/{{jax.process_count()}}"]))
'''
"""The script of one host; its arguments are those of hypojax."""

SHUTDOWN_TIMEOUT: Final = 7 * 24 * 3600
"""Seconds that a host which is done waits for the slowest."""

COORDINATOR: Final = 8476
"""Port at which the first host of a slice waits for the others."""


def slice_script() -> str:
    """The script that each host of a slice runs."""
    return SLICE.format(made_by=MADE_BY, timeout=SHUTDOWN_TIMEOUT)


def tpu_resource(config: ClusterConfig) -> Object:
    """A ``DaskCluster`` with one worker for each single-host TPU node.

    Raises
    ------
    RunError
        ``USAGE``: the configuration has no table [tpu].
    """
    name = f"{config.name}-tpu"
    return dask_cluster(
        config, name, worker_pod(config, name, devices=_chips(config), place=_nodes(config, require_table(config.tpu, "tpu").topology))
    )


def slice_job(config: ClusterConfig) -> Object:
    """An indexed job with one pod for each host of a slice of several hosts.

    The script comes as an argument of Python, so that nothing need be mounted.
    """
    tpu = require_table(config.tpu, "tpu")
    name = f"{config.name}-slice"
    size = {"cpu": str(config.cores), "memory": f"{config.memory}Gi", **_chips(config)}
    args = ["python", "-c", slice_script(), *config.arguments()[1:]]
    contained = container(config, "worker", args, size=size, variables={})
    # The coordinator has no TLS: it listens on the address of the pod only, which the network policy closes to all but the slice.
    own = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    port = {"name": "JAX_COORDINATOR_PORT", "value": str(COORDINATOR)}
    bind = {"name": "JAX_COORDINATOR_BIND_ADDRESS", "value": f"$(POD_IP):{COORDINATOR}"}
    contained = {**contained, "env": [*contained["env"], own, port, bind]}
    spec = pod(config, contained, restartPolicy="Never", terminationGracePeriodSeconds=LEAVING, subdomain=name, **_nodes(config, tpu.slice))
    return indexed_job(config, name, completions=tpu.hosts, spec=spec)


def slice_service(config: ClusterConfig) -> Object:
    """Names for the hosts of a slice, by which they find one another when they start."""
    name = f"{config.name}-slice"
    spec = {"clusterIP": "None", "selector": {"batch.kubernetes.io/job-name": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(config, name), "spec": spec}


def _chips(config: ClusterConfig) -> Object:
    """The chips of one host, as a resource."""
    return {"google.com/tpu": str(require_table(config.tpu, "tpu").chips)}


def _nodes(config: ClusterConfig, topology: str) -> Object:
    """Fields that send a pod to TPU nodes, which carry a taint of their own."""
    tpu = require_table(config.tpu, "tpu")
    place = where(config)
    labels = {"cloud.google.com/gke-tpu-accelerator": tpu.accelerator, "cloud.google.com/gke-tpu-topology": topology}
    taint = {"key": "google.com/tpu", "operator": "Exists", "effect": "NoSchedule"}
    return {"nodeSelector": {**place.get("nodeSelector", {}), **labels}, "tolerations": [*place.get("tolerations", []), taint]}
