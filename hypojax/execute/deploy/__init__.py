"""One configuration of a cluster, and every recipe made of it: scripts, manifests, images.

Nothing here runs anything: each function takes a `ClusterConfig` and gives text or plain dicts.
"""

from hypojax.execute.deploy.cluster_config import ClusterConfig, parse_config, read_config
from hypojax.execute.deploy.manifests import kubernetes_resource
from hypojax.execute.deploy.recipes import recipes, write_example, write_recipes
from hypojax.execute.deploy.scripts import cuda_environments, slurm_options

__all__ = [
    "ClusterConfig",
    "cuda_environments",
    "kubernetes_resource",
    "parse_config",
    "read_config",
    "recipes",
    "slurm_options",
    "write_example",
    "write_recipes",
]
