"""Several hosts: the command lines of the Kubernetes recipe, run on hosts that are network namespaces; one cable is pulled midway.

They need root and Debian's packages:

    apt-get install iproute2
    python -m pytest -m 'slow and root' tests/system/test_hosts.py
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from certificates import write_certificates
from lan import Host, lan, missing
from repetition import assert_same, done, scans_table, undisturbed
from slurm_site import wait_until

from hypojax import execute
from hypojax.execute.deploy import ClusterConfig, kubernetes_resource
from hypojax.execute.deploy.cluster_tables import Kubernetes
from hypojax.execute.deploy.manifests import HTTP, PORT, TLS, WORKER_HTTP, client_job

ROOT = Path(__file__).parents[2]

SUBJECTS = 6

LONG = 420.0
"""Seconds that a run of these scans may take on a busy machine with two cores."""

WORKERS = ("one", "two")

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.skipif(bool(missing()), reason=missing())]


@dataclass(frozen=True)
class Container:
    """What a container of the recipe runs, moved to a host: same words, other paths.

    Parameters
    ----------
    command, variables
        Its words and environment.
    """

    command: list[str]
    variables: dict[str, str]


def moved(pod: Mapping[str, Any], folder: Path, *, scheduler: Host, name: str) -> Container:
    """The container of a pod without Kubernetes: its certificates, cache and service lie elsewhere."""
    (container,) = pod["containers"]
    elsewhere = {
        TLS: str(folder / "tls"),
        "/cache": str(folder / name),
        "/scratch": str(folder / name),
        "hosts-scheduler.hypojax.svc": scheduler.address,
        "$(DASK_WORKER_NAME)": name,
    }
    (folder / name).mkdir(exist_ok=True)

    def put(text: str) -> str:
        for here, there in elsewhere.items():
            text = text.replace(here, there)
        return text

    words = [put(word) for word in container["args"]]
    variables = {variable["name"]: put(variable["value"]) for variable in container["env"]}
    program = str(Path(sys.executable).with_name(words[0]))
    return Container([program, *words[1:]], {**variables, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"})


def configuration(scans: Path, out: Path) -> ClusterConfig:
    """Two workers; a volume that is the disk of this machine."""
    pods = Kubernetes(claim="disk", mount="/")
    return ClusterConfig((str(scans),), str(out), name="hosts", options=("--batch", "1"), workers=2, cores=1, memory=4, kubernetes=pods)


@contextmanager
def running(host: Host, container: Container, said: Path) -> Iterator[subprocess.Popen[str]]:
    """A container's process on a host, as long as the block."""
    with said.open("w") as file:
        process = host.start(container.command, variables=container.variables, said=file)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def cluster(config: ClusterConfig, folder: Path) -> Iterator[dict[str, Host]]:
    """Scheduler and workers on a host each, and a host for the client."""
    resource = kubernetes_resource(config)["spec"]
    write_certificates(folder / "tls")
    with lan(["scheduler", *WORKERS, "client"]) as hosts, ExitStack() as stack:
        there = hosts["scheduler"]
        containers = {"scheduler": moved(resource["scheduler"]["spec"], folder, scheduler=there, name="scheduler")}
        containers |= {name: moved(resource["worker"]["spec"], folder, scheduler=there, name=name) for name in WORKERS}
        for name, container in containers.items():
            stack.enter_context(running(hosts[name], container, folder / f"{name}.said"))
        for name in WORKERS:
            wait_until(lambda name=name: "Registered to" in (folder / f"{name}.said").read_text())
        yield hosts


def client(config: ClusterConfig, folder: Path, scheduler: Host) -> Container:
    """The client's container of the recipe."""
    return moved(client_job(config, "hosts")["spec"]["template"]["spec"], folder, scheduler=scheduler, name="client")


def test_a_cable_is_pulled_midway_and_all_scans_are_done(tmp_path: Path, shared: Path) -> None:
    scans = scans_table(tmp_path, shared, subjects=SUBJECTS)
    reference, out = undisturbed(scans, tmp_path / "reference"), tmp_path / "out"
    config = configuration(scans, out)
    with cluster(config, tmp_path) as hosts:
        run = client(config, tmp_path, hosts["scheduler"])
        with running(hosts["client"], run, tmp_path / "client.said") as process:
            wait_until(lambda: process.poll() is not None or done(out) >= 1, patience=LONG)
            assert process.poll() is None, (tmp_path / "client.said").read_text()
            hosts["one"].pull_the_cable()
            assert process.wait(timeout=LONG) == 0, (tmp_path / "client.said").read_text()
    said = (tmp_path / "scheduler.said").read_text()
    assert -1 < said.find("name: one (") < said.find("Remove client"), "the run had to wait for what the lost worker was at"
    assert_same(out, reference)
    assert execute.verify(out) == ()


HANDSHAKE = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[3] + "/ca.crt")
context.check_hostname = False
if sys.argv[4] == "member":
    context.load_cert_chain(sys.argv[3] + "/tls.crt", sys.argv[3] + "/tls.key")
with context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)) as spoken:
    spoken.settimeout(10)
    print(len(spoken.recv(1)))
"""


def test_what_other_hosts_can_reach_speaks_tls_with_members_only(tmp_path: Path) -> None:
    config = configuration(tmp_path / "scans.tsv", tmp_path / "out")
    with cluster(config, tmp_path) as hosts:
        for name in ("scheduler", *WORKERS):
            ports = hosts[name].listening()
            assert ports, name
            assert not {HTTP, WORKER_HTTP} & set(ports), "HTTP servers keep to themselves"
            for port in ports:
                for who, welcome in (("member", True), ("stranger", False)):
                    words = [sys.executable, "-c", HANDSHAKE, hosts[name].address, str(port), str(tmp_path / "tls"), who]
                    answer = subprocess.run(hosts["client"].inside(words), capture_output=True, text=True, timeout=60, check=False)
                    assert (answer.stdout.strip() == "1") == welcome, f"{name}:{port} {who}: {answer.stdout}{answer.stderr}"
        assert PORT in hosts["scheduler"].listening()
        ask = [sys.executable, "-c", f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{WORKER_HTTP}/health').read())"]
        assert "ok" in subprocess.run(hosts["one"].inside(ask), capture_output=True, text=True, timeout=60, check=True).stdout
