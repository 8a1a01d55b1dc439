"""Hosts that are network namespaces, each on a cable to one switch; the network of this machine is left alone."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

NETWORK = "10.77.0."


def missing() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if shutil.which("ip") and shutil.which("ss") else "ip or ss not found: apt-get install iproute2"


def ip(*words: str) -> None:
    """Call ``ip``."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@dataclass(frozen=True)
class Host:
    """One host.

    Parameters
    ----------
    namespace, switch
        Its namespace, and that of the switch.
    address
        Its address.
    """

    namespace: str
    switch: str
    address: str

    def inside(self, command: Sequence[str]) -> list[str]:
        """The command that runs another one on this host."""
        return ["ip", "netns", "exec", self.namespace, *command]

    def start(self, command: Sequence[str], *, variables: Mapping[str, str], said: IO[str]) -> subprocess.Popen[str]:
        """Start a process on it."""
        return subprocess.Popen(self.inside(command), env={**os.environ, **variables}, stdout=said, stderr=said, text=True)

    def listening(self) -> list[int]:
        """Ports of it that other hosts can reach."""
        shown = subprocess.run(self.inside(["ss", "-ltnH"]), check=True, capture_output=True, text=True, timeout=20)
        addresses = [line.split()[3] for line in shown.stdout.splitlines()]
        return sorted({int(address.rpartition(":")[2]) for address in addresses if not address.startswith(("127.", "[::1]"))})

    def pull_the_cable(self) -> None:
        """Cut it off: nothing is said, nothing is closed."""
        ip("-n", self.switch, "link", "set", self.namespace[-15:], "down")


@contextmanager
def lan(names: Sequence[str]) -> Iterator[dict[str, Host]]:
    """So many hosts, by name."""
    prefix = f"hj{os.getpid() % 10_000}"
    switch = f"{prefix}switch"
    with ExitStack() as stack:
        stack.enter_context(namespace(switch))
        ip("-n", switch, "link", "add", "name", "switch0", "type", "bridge")
        ip("-n", switch, "link", "set", "switch0", "up")
        hosts = {name: Host(f"{prefix}{name}"[:15], switch, f"{NETWORK}{number}") for number, name in enumerate(names, 1)}
        for host in hosts.values():
            stack.enter_context(namespace(host.namespace))
            plug(host)
        yield hosts


@contextmanager
def namespace(name: str) -> Iterator[None]:
    """A namespace that is gone after the block."""
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        ip("netns", "del", name)


def plug(host: Host) -> None:
    """Lay the cable of a host."""
    ip("-n", host.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", host.namespace, "netns", host.switch)
    ip("-n", host.switch, "link", "set", host.namespace, "master", "switch0", "up")
    ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
    ip("-n", host.namespace, "link", "set", "eth0", "up")
    ip("-n", host.namespace, "route", "add", "default", "dev", "eth0")
