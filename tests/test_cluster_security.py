"""Nobody but the run itself may use its scheduler: whoever may connect to one may run code as its owner."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client, Scheduler, SpecCluster

from hypojax.execute.cluster import connected
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings

STRANGER = Path(__file__).parent / "system" / "stranger.py"
NOBODY = 65534
REFUSED = 7

pytestmark = pytest.mark.floor


@pytest.fixture(scope="module")
def before() -> set[tuple[str, int]]:
    """Where this process listens for other tests."""
    return listening(psutil.Process())


@pytest.fixture(scope="module")
def cluster(before: set[tuple[str, int]]) -> Iterator[tuple[Client, list[str]]]:
    """A cluster of this machine as a run starts it, and what was said."""
    said: list[str] = []
    with connected(ClusterSettings("local", workers=1), say=said.append) as client:
        assert client.submit(sum, (1, 2)).result(timeout=60) == 3
        yield client, said


def tried(address: str, mark: Path, *, uid: int) -> "subprocess.CompletedProcess[str]":
    """Somebody tries to run code in the scheduler at an address."""
    mark.parent.chmod(0o777)
    command = [sys.executable, str(STRANGER), str(uid), address, str(mark)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Addresses at which a process and its children listen."""
    everyone = [process, *process.children(recursive=True)]
    return {(found.laddr.ip, found.laddr.port) for each in everyone for found in each.net_connections("tcp") if found.status == "LISTEN"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user: run the tests as root to try it")
@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_another_user_of_the_machine_is_refused(cluster: tuple[Client, list[str]], tmp_path: Path, protocol: str) -> None:
    """Without a certificate, and with one of the user's own."""
    client, _ = cluster
    done = tried(f"{protocol}://{client.scheduler.address.partition('://')[2]}", tmp_path / "mark", uid=NOBODY)
    assert (done.returncode, (tmp_path / "mark").exists()) == (REFUSED, False), done.stdout + done.stderr
    assert client.submit(sum, (2, 2)).result(timeout=60) == 4  # and disturbs nobody


def test_the_same_user_needs_the_certificate_too(cluster: tuple[Client, list[str]], tmp_path: Path) -> None:
    client, _ = cluster
    done = tried(client.scheduler.address.replace("tls://", "tcp://"), tmp_path / "mark", uid=os.getuid())
    assert (done.returncode, (tmp_path / "mark").exists()) == (REFUSED, False), done.stdout + done.stderr


def test_a_scheduler_without_certificates_would_run_it(tmp_path: Path) -> None:
    """The try is a real one."""
    options = {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": "127.0.0.1:0"}
    with SpecCluster(workers={}, scheduler={"cls": Scheduler, "options": options}) as open_to_all:
        done = tried(open_to_all.scheduler_address, tmp_path / "mark", uid=NOBODY if os.getuid() == 0 else os.getuid())
    assert (done.returncode, (tmp_path / "mark").exists()) == (0, True), done.stdout + done.stderr


def test_workers_refuse_strangers_too(cluster: tuple[Client, list[str]]) -> None:
    client, _ = cluster
    addresses = [*client.nthreads(), *(worker["nanny"] for worker in client.scheduler_info()["workers"].values())]
    assert len(addresses) == 2
    assert all(address.startswith("tls://127.0.0.1:") for address in addresses)


def test_every_port_is_on_loopback_and_says_nothing_by_http(cluster: tuple[Client, list[str]], before: set[tuple[str, int]]) -> None:
    _, said = cluster
    assert not any("dashboard" in sentence for sentence in said)
    ports = listening(psutil.Process()) - before
    assert {address for address, _ in ports} == {"127.0.0.1"}
    for _, port in ports:
        for page in ("", "status", "info/main/workers.html", "json/counts.json", "metrics", "health", "proxy/8787/127.0.0.1/"):
            assert not answered(port, page), f"{port} {page}"


def answered(port: int, page: str) -> bool:
    """Whether a page comes by plain HTTP."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=20) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def test_the_dashboard_is_opened_on_loopback_where_it_is_asked_for() -> None:
    pytest.importorskip("bokeh", reason="the dashboard needs bokeh: install hypojax[dashboard]")
    said: list[str] = []
    with connected(ClusterSettings("local", workers=1, dashboard=True), say=said.append) as client:
        (sentence,) = (each for each in said if "dashboard" in each)
        assert "every user of the scheduler's machine can look at it" in sentence
        port = client.scheduler_info()["services"]["dashboard"]
        assert f"127.0.0.1:{port}" in sentence
        assert {address for address, _ in listening(psutil.Process())} <= {"127.0.0.1"}
        assert answered(port, "status")


def test_a_dashboard_without_bokeh_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with (
        pytest.raises(RunError, match=r"hypojax\[dashboard\]") as error,
        connected(ClusterSettings("local", workers=1, dashboard=True), say=print),
    ):
        pass
    assert error.value.reason == Reason.USAGE


@pytest.mark.parametrize("cluster", ["here", "tls://127.0.0.1:8786"])
def test_a_dashboard_of_nothing_that_we_start_is_refused(cluster: str) -> None:
    with pytest.raises(RunError, match="--dashboard has no effect") as error:
        ClusterSettings(cluster, dashboard=True)
    assert error.value.reason == Reason.USAGE
