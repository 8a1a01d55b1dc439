"""How a run is spread over machines: `ClusterConfig`, read from one TOML file."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hypojax.execute.deploy.cluster_tables import ContainerImage, Kubernetes, ServedPage, Slurm, Tpu, refuse, require_lines
from hypojax.reason import Reason, RunError
from hypojax.settings import SHORTEST, build, read_toml

NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
"""Short enough that the names which the Dask operator makes of it stay under 63 letters."""

OWN_OPTIONS: Final = ("--cluster", "--cluster-config", "--shard", "--workers")
"""Options of `hypojax run` that every recipe sets itself."""


@dataclass(frozen=True)
class ClusterConfig:
    """One run on many machines: TOML file and API argument at once.

    Parameters
    ----------
    inputs
        Where the scans are: paths as the workers see them, or URLs of buckets.
    out
        Where the results go, likewise.
    name
        Of the jobs and objects.
    options
        Further options of ``hypojax run``.
    workers
        Processes that work at once.
    cores
        Processor cores a worker.
    memory
        GiB a worker.
    gpus
        GPUs a worker.
    walltime
        Minutes after which the queue ends a job; 0: never. Left out, an array takes what `hypojax plan` says when it is submitted, and
        other recipes set none.
    dashboard
        Whether a Dask scheduler shows its dashboard, on the loopback of its machine or pod, where every user can look at it.
    slurm, kubernetes, tpu, app, image
        What is particular to each; a recipe is written for those that are there.

    Raises
    ------
    RunError
        ``USAGE``: a value that cannot be, or values that do not go together.

    Examples
    --------
    >>> ClusterConfig(inputs=("/data/bids",), out="/data/out", options=("--batch", "8")).command("--shard", "1/4")
    'hypojax run /data/bids /data/out --batch 8 --shard 1/4'
    """

    inputs: tuple[str, ...]
    out: str
    name: str = "hypojax"
    options: tuple[str, ...] = ()
    workers: int = 4
    cores: int = 2
    memory: int = 8
    gpus: int = 0
    walltime: int | None = None
    dashboard: bool = False
    slurm: Slurm | None = None
    kubernetes: Kubernetes | None = None
    tpu: Tpu | None = None
    app: ServedPage | None = None
    image: ContainerImage = field(default_factory=ContainerImage)

    def __post_init__(self) -> None:
        """Refuse what cannot be, and what does not go together."""
        if not NAME.fullmatch(self.name):
            raise refuse("name", self.name, "1 to 40 lower-case letters, digits and hyphens, with a letter or digit at both ends")
        for key, lowest in (("workers", 1), ("cores", 1), ("memory", 1), ("gpus", 0)):
            if getattr(self, key) < lowest:
                raise refuse(key, getattr(self, key), f"{lowest} or more")
        if self.walltime and self.walltime < SHORTEST:
            raise refuse("walltime", self.walltime, f"0, or {SHORTEST} minutes or more")
        for option in self.options:
            if option.partition("=")[0] in OWN_OPTIONS:
                raise RunError(Reason.USAGE, f"options has {option!r}, which the recipes set themselves; leave it out")
        self._check_places()
        if self.tpu and not self.kubernetes:
            raise RunError(Reason.USAGE, "[tpu] needs [kubernetes]: TPU hosts are nodes of a Kubernetes cluster; add the table")

    def _check_places(self) -> None:
        """Refuse inputs and outputs that workers could not reach, and passwords that every recipe would show."""
        if not self.inputs:
            raise refuse("inputs", [], "a list of paths or URLs")
        require_lines("cluster", inputs=self.inputs, out=(self.out,), options=self.options)
        for folder in (self.app.cohorts, self.app.inputs) if self.app and self.kubernetes else ():
            if folder and not self._in_volume(folder):
                raise refuse("app.cohorts or app.inputs", folder, "a path in kubernetes.mount of a kubernetes.claim")
        for key, place in (*(("inputs", place) for place in self.inputs), ("out", self.out)):
            if not place or place.startswith("-"):
                raise refuse(key, place, "a path or URL")
            if is_url(place) and "@" in urlsplit(place).netloc:
                raise RunError(
                    Reason.USAGE, f"{key} has a URL with a user or password; keep them in the environment or kubernetes.credentials"
                )
            if self.kubernetes and not is_url(place) and not self._in_volume(place):
                raise refuse(key, place, f"a URL, or a path in kubernetes.mount ({self.kubernetes.mount}) of a kubernetes.claim")

    def _in_volume(self, place: str) -> bool:
        """Whether pods see a path."""
        settings = self.kubernetes
        return settings is not None and bool(settings.claim) and Path(place).is_relative_to(settings.mount)

    def arguments(self, *more: str) -> list[str]:
        """The words of `hypojax run` with this configuration, and further ones."""
        return ["hypojax", "run", *self.inputs, self.out, *self.options, *more]

    def command(self, *more: str) -> str:
        """The same as one line of shell."""
        return shlex.join(self.arguments(*more))

    @property
    def lifetime(self) -> tuple[int, int] | None:
        """Minutes after which a worker leaves by itself, give or take how many; None where jobs are never ended.

        Workers leave before the queue ends their job, and not all at once.

        >>> ClusterConfig(inputs=("bids",), out="out", walltime=60).lifetime
        (55, 4)
        """
        if not self.walltime:
            return None
        stagger = max(1, self.walltime // 15)
        return self.walltime - stagger - 1, stagger


def is_url(place: str) -> bool:
    """Whether a place is in a bucket and not in a folder.

    >>> is_url("s3://bucket/bids"), is_url("/data/bids")
    (True, False)
    """
    return "://" in place


def read_config(path: Path) -> ClusterConfig:
    """Read a configuration.

    Raises
    ------
    RunError
        ``USAGE``: there is no such file, it is not TOML, or a key or value is wrong; file and key are named.
    """
    return read_toml(path, parse_config, like="to get an example: hypojax deploy example FOLDER")


def parse_config(table: dict[str, Any]) -> ClusterConfig:
    """A configuration from its table.

    Raises
    ------
    RunError
        ``USAGE``: a key or value is wrong.

    Examples
    --------
    >>> parse_config({"inputs": ["bids"], "out": "out", "slurm": {"partition": "long"}}).slurm.partition
    'long'
    """
    return build(ClusterConfig, table)
