"""One configuration of a cluster, and every recipe made of it: scripts, manifests, images.

Nothing here runs anything: each function takes a `ClusterConfig` and gives text or plain dicts.
"""

from hypojax.deploy.config import ClusterConfig, parse_config, read_config
from hypojax.deploy.cuda import cuda_environments
from hypojax.deploy.kubernetes import kubernetes_resource
from hypojax.deploy.recipes import recipes, write_recipes
from hypojax.deploy.slurm import slurm_options

__all__ = [
    "ClusterConfig",
    "cuda_environments",
    "kubernetes_resource",
    "parse_config",
    "read_config",
    "recipes",
    "slurm_options",
    "write_recipes",
]
