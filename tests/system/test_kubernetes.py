"""`--cluster kubernetes` with a stand-in for `kubectl`: what is applied, how the scheduler is reached, and that nothing is left behind."""

import json
import sys
from pathlib import Path

import dask
import pytest
from certificates import write_certificates

from hypojax.execute.cluster import connected, kubernetes_scheduler
from hypojax.execute.deploy import read_config
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "cluster" / "cluster.toml"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with certificates, and a `kubectl` on the PATH."""
    write_certificates(tmp_path / "tls")
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "kubectl_stand_in.py"}" "{tmp_path}" "$@"\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.slow
def test_a_cluster_is_made_reached_and_taken_away(site: Path) -> None:
    tls = {"ca-file": "ca.crt", "client.cert": "tls.crt", "client.key": "tls.key"}
    files = {f"distributed.comm.tls.{name}": str(site / "tls" / file) for name, file in tls.items()}
    notes: list[str] = []
    where = ClusterSettings("kubernetes", workers=7, cluster_config=CONFIG)
    with dask.config.set(files), connected(where, say=notes.append) as client:
        client.wait_for_workers(1, timeout=60)
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(sum, (1, 2)).result(timeout=60) == 3
    assert notes[0] == "7 pods asked for"
    applied = json.loads((site / "applied.json").read_text())
    assert (applied["kind"], applied["spec"]["worker"]["replicas"]) == ("DaskCluster", 7)
    assert (site / "deleted").exists()


def test_without_kubectl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="needs kubectl") as error, kubernetes_scheduler(read_config(CONFIG), 1):
        pass
    assert error.value.reason == Reason.USAGE


def test_what_kubectl_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'no matches for kind DaskCluster' >&2\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(RunError, match="no matches for kind DaskCluster"), kubernetes_scheduler(read_config(CONFIG), 1):
        pass
