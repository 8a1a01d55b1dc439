"""One machine with several processes: a worker a GPU, each with eyes for its own."""

from collections.abc import Sequence

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.script import CACHE_LINES, script


def cuda_environments(gpus: Sequence[str]) -> list[dict[str, str]]:
    """Environment of each worker: its GPU, and memory taken as it is needed.

    They must be set before JAX starts, which a nanny does with what it is given as ``env``. A process of JAX takes three quarters of the
    memory of every GPU it sees when it starts; a second one would find none.

    Parameters
    ----------
    gpus
        Numbers or UUIDs of the GPUs that are ours, as in ``CUDA_VISIBLE_DEVICES`` of this process where a queue set it.

    Examples
    --------
    >>> [environment["CUDA_VISIBLE_DEVICES"] for environment in cuda_environments(["3", "GPU-8932f937"])]
    ['3', 'GPU-8932f937']
    """
    return [{"CUDA_VISIBLE_DEVICES": name, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} for name in gpus]


def local_script(config: ClusterConfig) -> str:
    """One machine without GPUs: a few worker processes."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'local', '--workers', str(config.workers))}"]
    return script("One machine, several worker processes.", lines)


def cuda_script(config: ClusterConfig) -> str:
    """One machine with GPUs: as many workers as GPUs that it has."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'cuda')}"]
    return script("One machine, one worker process for each of its GPUs.", lines)
