"""The hosts of a TPU slice, as two processes of JAX on CPUs with two virtual devices each: the script of the recipe does every scan."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from repetition import assert_same, scans_table
from slurm_site import free_ports

from hypojax import execute
from hypojax.execute.deploy import ClusterConfig
from hypojax.execute.deploy.tpu import slice_script

ROOT = Path(__file__).parents[2]

HOSTS = 2
DEVICES = "--xla_force_host_platform_device_count=2"

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_the_hosts_of_a_slice_share_the_scans(tmp_path: Path, shared: Path) -> None:
    scans = scans_table(tmp_path, shared, subjects=4)
    out = tmp_path / "out"
    (port,) = free_ports(1)
    words = [sys.executable, "-c", slice_script(), *ClusterConfig((str(scans),), str(out)).arguments()[1:]]
    with ExitStack() as stack:
        hosts = []
        for number in range(HOSTS):
            variables = {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}",
                # As on a TPU host, JAX finds out by itself how many there are and which this is; here a queue seems to say so.
                "SLURM_JOB_ID": "1", "SLURM_NTASKS": str(HOSTS), "SLURM_PROCID": str(number), "SLURM_LOCALID": "0",
                "SLURM_STEP_NODELIST": "here", "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": DEVICES, "PYTHONPATH": str(ROOT),
            }  # fmt: skip
            said = stack.enter_context((tmp_path / f"{number}.said").open("w"))
            hosts.append(subprocess.Popen(words, env={**os.environ, **variables}, stdout=said, stderr=said))
            stack.callback(hosts[-1].kill)
        for number, host in enumerate(hosts):
            assert host.wait(timeout=600) == 0, (tmp_path / f"{number}.said").read_text()
    shares = [(tmp_path / f"{number}.said").read_text() for number in range(HOSTS)]
    assert ["sub-01" in share for share in shares] == [True, False]
    assert execute.status(out).done == 4
    assert_same(out, on_two_devices(scans, tmp_path / "reference"))


def on_two_devices(scans: Path, out: Path) -> Path:
    """The same scans in one process that has as many devices as a host: networks compiled for fewer add in another order."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": DEVICES, "PYTHONPATH": str(ROOT)}
    code = "import sys; from hypojax.cli import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", code, "run", str(scans), str(out)], env=environment, check=True)
    return out
