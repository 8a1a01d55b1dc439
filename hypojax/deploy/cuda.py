"""One machine with several processes: a worker a GPU, each with eyes for its own."""

from hypojax.deploy.config import ClusterConfig
from hypojax.deploy.script import CACHE_LINES, script


def cuda_environments(gpus: int, *, visible: str | None = None) -> list[dict[str, str]]:
    """Environment of each worker: its GPU, and memory taken as it is needed.

    They must be set before JAX starts, which a nanny does with what stands in Dask's ``distributed.nanny.pre-spawn-environ``. A process
    of JAX takes three quarters of the memory of every GPU it sees when it starts; a second one would find none.

    Parameters
    ----------
    gpus
        How many workers, one GPU each.
    visible
        ``CUDA_VISIBLE_DEVICES`` of the parent process, as a queue sets it: numbers or UUIDs of the GPUs that are ours.

    Examples
    --------
    >>> [environment["CUDA_VISIBLE_DEVICES"] for environment in cuda_environments(2)]
    ['0', '1']
    >>> [environment["CUDA_VISIBLE_DEVICES"] for environment in cuda_environments(2, visible="3,GPU-8932f937,5")]
    ['3', 'GPU-8932f937']
    """
    ours = [str(number) for number in range(gpus)] if visible is None else [name.strip() for name in visible.split(",") if name.strip()]
    return [{"CUDA_VISIBLE_DEVICES": name, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} for name in ours[:gpus]]


def local_script(config: ClusterConfig) -> str:
    """One machine without GPUs: a few worker processes."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'local', '--workers', str(config.workers))}"]
    return script("One machine, several worker processes.", lines)


def cuda_script(config: ClusterConfig) -> str:
    """One machine with GPUs: as many workers as GPUs that it has."""
    lines = [*CACHE_LINES, f"exec {config.command('--cluster', 'cuda')}"]
    return script("One machine, one worker process for each of its GPUs.", lines)
