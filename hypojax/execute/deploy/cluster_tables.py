"""The tables of a cluster configuration: what is particular to SLURM, Kubernetes, TPU hosts and the image."""

import math
import re
from dataclasses import dataclass, field
from typing import Final, TypeVar

from hypojax.reason import Reason, RunError

T = TypeVar("T")

LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
"""What Kubernetes takes as a name (RFC 1123)."""


def refuse(key: str, value: object, wanted: str) -> RunError:
    """An error that names the key, the value found and what it should be."""
    return RunError(Reason.USAGE, f"{key} is {value!r}, it must be {wanted}")


def require_table(table: T | None, name: str) -> T:
    """A table that a recipe needs.

    Raises
    ------
    RunError
        ``USAGE``: it is not there.
    """
    if table is None:
        raise RunError(Reason.USAGE, f"there is no table [{name}]; add it; to get an example: hypojax deploy example FOLDER")
    return table


def require_names(table: str, **names: str) -> None:
    """Refuse names that Kubernetes would refuse."""
    for key, name in names.items():
        if not LABEL.fullmatch(name) or len(name) > 63:
            raise refuse(f"{table}.{key}", name, "1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends")


def require_lines(table: str, **lists: tuple[str, ...]) -> None:
    """Refuse a line that is two: what follows would not be what it seems."""
    for key, lines in lists.items():
        for line in lines:
            if "\n" in line or "\r" in line:
                raise refuse(f"{table}.{key}", line, "one line each; give several as a list")


@dataclass(frozen=True)
class Slurm:
    """SLURM, as an array of tasks or as workers that a client asks for.

    Parameters
    ----------
    partition, account
        Where to queue and whom to charge; the cluster's own defaults when left out.
    tasks
        Parts that the array cuts the scans into; as many as there are workers when 0. No more than ``workers`` run at once.
    directives
        Further ``#SBATCH`` lines without that word, such as ``--qos=low``.
    setup
        Lines of shell that come before hypojax: modules, an environment.
    logs
        Folder of the logs, from where the jobs are submitted.
    scratch
        Folder of a node for temporary files; the shell expands it there.
    shared
        Folder that the client and the nodes share; the temporary TLS keys lie in it, readable by their owner only, while a client runs.
    interface
        Network interface that client and workers talk over, such as ``ib0``; the one of the host's name when left out.
    """

    partition: str = ""
    account: str = ""
    tasks: int = 0
    directives: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    logs: str = "logs"
    scratch: str = "${TMPDIR:-/tmp}"
    shared: str = "~"
    interface: str = ""

    def __post_init__(self) -> None:
        """Refuse what SLURM would misunderstand."""
        if self.tasks < 0:
            raise refuse("slurm.tasks", self.tasks, "0 or more")
        words = (self.partition, self.account, self.logs, self.scratch, self.shared, self.interface)
        require_lines("slurm", directives=self.directives, setup=self.setup, words=words)
        for directive in self.directives:
            if not directive.startswith("-"):
                raise refuse("slurm.directives", directive, "an option such as '--qos=low', without #SBATCH")


@dataclass(frozen=True)
class Toleration:
    """A taint of nodes that pods put up with, as spot nodes have one.

    Parameters
    ----------
    key, operator, value, effect
        As in Kubernetes; ``operator`` is ``Equal`` or ``Exists``.
    """

    key: str
    operator: str = "Equal"
    value: str = ""
    effect: str = "NoSchedule"

    def __post_init__(self) -> None:
        """Refuse operators that there are not."""
        if self.operator not in {"Equal", "Exists"}:
            raise refuse("kubernetes.tolerations.operator", self.operator, "'Equal' or 'Exists'")


@dataclass(frozen=True)
class Kubernetes:
    """Kubernetes, with the Dask operator or as an indexed job.

    Parameters
    ----------
    namespace
        Where everything lives.
    tls_secret
        Secret of the type ``kubernetes.io/tls`` with ``ca.crt`` besides ``tls.crt`` and ``tls.key``; only its name is given here.
    claim
        Claim of a volume that many nodes may write, mounted at ``mount``; none when empty, and input and output are buckets.
    mount
        Where the volume lies in a pod.
    storage
        Size of the claim, GiB.
    storage_class
        Class of the claim; the cluster's default when left out.
    credentials
        Secret whose entries become environment variables (keys of a bucket); only its name is given here. None when left out.
    node_selector
        Labels that nodes of workers must have.
    tolerations
        Taints that workers put up with.
    minimum, maximum
        Between how many workers the operator's autoscaler chooses; ``maximum`` 0: no autoscaler.
    operator_namespace
        Where the Dask operator runs; with an autoscaler it may ask the scheduler how many workers it wants.
    """

    namespace: str = "hypojax"
    tls_secret: str = "hypojax-tls"  # noqa: S105 - the name of a secret
    claim: str = ""
    mount: str = "/data"
    storage: int = 1024
    storage_class: str = ""
    credentials: str = ""
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    minimum: int = 1
    maximum: int = 0
    operator_namespace: str = "dask-operator"

    def __post_init__(self) -> None:
        """Refuse what Kubernetes would refuse."""
        optional = {"claim": self.claim, "storage_class": self.storage_class, "credentials": self.credentials}
        require_names("kubernetes", namespace=self.namespace, tls_secret=self.tls_secret, operator_namespace=self.operator_namespace)
        require_names("kubernetes", **{key: name for key, name in optional.items() if name})
        if not self.mount.startswith("/"):
            raise refuse("kubernetes.mount", self.mount, "an absolute path")
        if self.storage < 1:
            raise refuse("kubernetes.storage", self.storage, "1 or more (GiB)")
        if self.minimum < 0 or (self.maximum and self.maximum < self.minimum):
            raise refuse("kubernetes.maximum", self.maximum, f"0, or kubernetes.minimum ({self.minimum}) or more")


@dataclass(frozen=True)
class Tpu:
    """Hosts with TPU chips, in node pools of Google Kubernetes Engine.

    Parameters
    ----------
    accelerator
        Label ``cloud.google.com/gke-tpu-accelerator`` of the node pools.
    topology
        Label ``cloud.google.com/gke-tpu-topology`` of a node pool of single hosts.
    chips
        Chips of one host.
    slice
        Topology of a node pool whose nodes are the hosts of one slice; none when left out.
    """

    accelerator: str = "tpu-v5-lite-podslice"
    topology: str = "2x2"
    chips: int = 4
    slice: str = ""

    def __post_init__(self) -> None:
        """Refuse topologies that hosts of so many chips cannot make up."""
        if self.chips < 1:
            raise refuse("tpu.chips", self.chips, "1 or more")
        for key, topology in (("topology", self.topology), ("slice", self.slice)):
            if topology and not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){1,2}", topology):
                raise refuse(f"tpu.{key}", topology, "sides such as '2x2' or '2x2x1'")
        if _chips(self.topology) != self.chips:
            raise refuse("tpu.topology", self.topology, f"that of one host with {self.chips} chips; a larger one is tpu.slice")
        if self.slice and (_chips(self.slice) % self.chips or self.hosts < 2):
            raise refuse("tpu.slice", self.slice, f"a topology of two or more hosts with {self.chips} chips each")

    @property
    def hosts(self) -> int:
        """Hosts of the slice."""
        return _chips(self.slice) // self.chips if self.slice else 0


def _chips(topology: str) -> int:
    """Chips of a topology.

    >>> _chips("4x4")
    16
    """
    return math.prod(map(int, topology.split("x")))


@dataclass(frozen=True)
class ContainerImage:
    """The image of containers.

    Parameters
    ----------
    name
        Its name and version, with the registry it is pulled from.
    base
        Image it is made from: Python of the version that ``cluster/constraints.txt`` was made with.
    extras
        Extras of hypojax that are installed: ``cuda`` or ``tpu``, and ``cloud`` for buckets.
    """

    name: str = "hypojax:0.1.0"
    base: str = "python:3.11-slim-bookworm"
    extras: tuple[str, ...] = ("cloud",)

    def __post_init__(self) -> None:
        """Refuse an image without a version."""
        for key, name in (("name", self.name), ("base", self.base)):
            require_image(f"image.{key}", name)
        for extra in self.extras:
            if not LABEL.fullmatch(extra):
                raise refuse("image.extras", extra, "an extra of hypojax, such as 'cuda'")


AMOUNT: Final = re.compile(r"(\d+)(MB|GB)")


@dataclass(frozen=True)
class ServedPage:
    """The page in the browser (`hypojax app`) for a department: behind TLS, for whoever has a password.

    Parameters
    ----------
    host
        Name that it is reached by.
    users
        Secret whose entry ``users`` is the file that `hypojax app --add-user` writes; only its name is given here.
    tls_secret
        Secret of the type ``kubernetes.io/tls`` for that name; only its name is given here.
    cohorts, inputs
        Folders of cohorts to show and of scans to measure, as the page sees them; none when left out.
    max_upload, max_disk
        What one session may upload, and all may take together, in MB or GB.
    cores, memory, gpus
        Processor cores, GiB and GPUs of the page.
    proxy
        Image of nginx that runs as any user; it ends TLS beside the page.
    ingress_class, ingress_namespace
        Kubernetes: which ingress leads to it, and the namespace in which its controller runs.
    """

    host: str
    users: str = "hypojax-app-users"
    tls_secret: str = "hypojax-app-tls"  # noqa: S105 - the name of a secret
    cohorts: str = ""
    inputs: str = ""
    max_upload: str = "500MB"
    max_disk: str = "20GB"
    cores: int = 4
    memory: int = 8
    gpus: int = 0
    proxy: str = "nginxinc/nginx-unprivileged:1.29-alpine"
    ingress_class: str = "nginx"
    ingress_namespace: str = "ingress-nginx"

    def __post_init__(self) -> None:
        """Refuse what could not be served."""
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", self.host) or "." not in self.host:
            raise refuse("app.host", self.host, "a name such as 'brain.example.org'")
        require_names("app", users=self.users, tls_secret=self.tls_secret)
        require_names("app", ingress_class=self.ingress_class, ingress_namespace=self.ingress_namespace)
        require_lines("app", folders=(self.cohorts, self.inputs))
        for key, folder in (("cohorts", self.cohorts), ("inputs", self.inputs)):
            if folder and not folder.startswith("/"):
                raise refuse(f"app.{key}", folder, "an absolute path")
        if self.inputs and not self.cohorts:
            raise refuse("app.cohorts", self.cohorts, "a folder that receives the results of app.inputs")
        for key, amount in (("max_upload", self.max_upload), ("max_disk", self.max_disk)):
            if not AMOUNT.fullmatch(amount):
                raise refuse(f"app.{key}", amount, "an amount such as '500MB' or '20GB'")
        require_image("app.proxy", self.proxy)

    @property
    def upload_megabytes(self) -> int:
        """What one session may upload, in MB."""
        return _megabytes(self.max_upload)

    @property
    def disk_gibibytes(self) -> int:
        """Room on a disk for all sessions, GiB, with some to spare."""
        return math.ceil(1.2 * _megabytes(self.max_disk) * 1e6 / 2**30)


def _megabytes(amount: str) -> int:
    """MB of an amount.

    >>> _megabytes("2GB")
    2000
    """
    found = AMOUNT.fullmatch(amount)
    return int(found[1]) * (1000 if found[2] == "GB" else 1) if found else 0


def require_image(key: str, name: str) -> None:
    """Refuse an image without a version: what runs tomorrow would be another."""
    if not re.fullmatch(r"[\w.:/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})", name):
        raise refuse(key, name, "a name with its version, such as 'hypojax:0.1.0'")
    if name.endswith(":latest"):
        raise refuse(key, name, "a version that stays what it is, not 'latest'")
