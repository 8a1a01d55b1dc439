"""A SLURM cluster of one node on this machine, with two GPUs that are none, in a folder of its own."""

import os
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")

PATIENCE = 60.0
"""Seconds until a daemon answers."""

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
JobRequeue=1
KillWait=10
ReturnToService=2
MpiDefault=none
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why a cluster cannot be started here; empty when it can."""
    if os.geteuid() != 0:
        return "a SLURM of one's own needs root"
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(lacking)} not found: apt-get install slurm-wlm munge" if lacking else ""


@dataclass(frozen=True)
class Site:
    """A running SLURM.

    Parameters
    ----------
    folder
        Of its files.
    environment
        In which its commands are called.
    """

    folder: Path
    environment: dict[str, str]

    def call(self, *command: str) -> str:
        """Output of a command."""
        done = subprocess.run(command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[list[str]]:
        """Name, id and state of every job and array task that waits or runs."""
        return [line.split() for line in self.call("squeue", "--noheader", "--array", "--format=%j %i %T").splitlines()]

    def finished(self) -> bool:
        """Whether nothing waits or runs any more."""
        return not self.jobs()


@contextmanager
def slurm_site(folder: Path) -> Iterator[Site]:
    """Start munge, controller and node; stop them with the block."""
    host, memory = socket.gethostname().partition(".")[0], os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    (folder / "slurm.conf").write_text(CONF.format(host=host, folder=folder, memory=memory, ports=free_ports(2)))
    for number in range(2):
        os.mknod(folder / f"gpu{number}", stat.S_IFCHR | 0o600, os.makedev(1, 3))  # SLURM wants a device, and /dev/null is one
    (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File={folder}/gpu[0-1]\n")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nConstrainCores=no\n")
    site = Site(folder, {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")})
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        stack.enter_context(daemon(site, ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge]))
        wait_until((folder / "munge.socket").exists)
        stack.enter_context(daemon(site, ["slurmctld", "-D", "-f", str(folder / "slurm.conf")]))
        stack.enter_context(daemon(site, ["slurmd", "-D", "-N", host, "-f", str(folder / "slurm.conf")]))
        wait_until(lambda: idle(site))
        yield site


def idle(site: Site) -> bool:
    """Whether the node is ready for jobs."""
    answer = subprocess.run(
        ["sinfo", "-h", "-o", "%T"], env=site.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    return answer.stdout.strip() == "idle"


@contextmanager
def daemon(site: Site, command: Sequence[str]) -> Iterator[None]:
    """A process that runs as long as the block; what it says is in a file of its name."""
    with (site.folder / f"{command[0]}.said").open("w") as said:
        process = subprocess.Popen(command, env=site.environment, cwd=site.folder, stdout=said, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(happened: Callable[[], bool], *, patience: float = PATIENCE, step: float = 0.2) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, f"nothing happened within {patience:.0f} s"
        time.sleep(step)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
