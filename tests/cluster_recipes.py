"""Configurations that tests of recipes share, and the folder of the committed ones."""

from dataclasses import replace
from pathlib import Path

from hypojax.execute.deploy import ClusterConfig, read_config
from hypojax.execute.deploy.cluster_tables import Kubernetes, ServedPage

CLUSTER = Path(__file__).parents[1] / "cluster"


def example() -> ClusterConfig:
    """The configuration that the committed recipes are made of."""
    return read_config(CLUSTER / "cluster.toml")


def in_buckets() -> ClusterConfig:
    """Scans and results in buckets, no volume, an autoscaler: what the example has not."""
    pods = Kubernetes(credentials="bucket-keys", minimum=2, maximum=9)
    page = ServedPage("brain.example.org", gpus=1)
    return replace(example(), inputs=("s3://cohort/bids",), out="s3://cohort/out", gpus=0, walltime=0, kubernetes=pods, app=page)


CONFIGS = {"example": example, "buckets": in_buckets}
