"""What `kubectl` would do, on this machine: a cluster is a Dask scheduler with a worker, both behind TLS.

    python tests/system/kubectl_stand_in.py FOLDER ARGUMENTS...

FOLDER holds the certificates (``tls/``) and receives what was applied, the process ids and the port.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def apply(folder: Path) -> None:
    """Start scheduler and worker."""
    resource = json.load(sys.stdin)
    (folder / "applied.json").write_text(json.dumps(resource))
    tls = ["--tls-ca-file", "ca.crt", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]
    listening = [
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--protocol",
        "tls",
        "--no-dashboard",
        "--scheduler-file",
        str(folder / "scheduler.json"),
    ]
    processes = [dask(folder, "scheduler", *tls, *listening)]
    while not (folder / "scheduler.json").exists():
        time.sleep(0.1)
    address = json.loads((folder / "scheduler.json").read_text())["address"]
    processes.append(dask(folder, "worker", *tls, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", address))
    (folder / "pids").write_text(" ".join(str(process.pid) for process in processes))
    (folder / "port").write_text(address.rpartition(":")[2])


def dask(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """A process of the cluster, in a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        cwd=folder / "tls",
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def forward(folder: Path) -> None:
    """Refuse once, as where no pod is up yet; then say the port and stay."""
    if not (folder / "tried").exists():
        (folder / "tried").touch()
        print("error: unable to forward port because pod is not running. Current status=Pending", file=sys.stderr, flush=True)
        sys.exit(1)
    print(f"Forwarding from 127.0.0.1:{(folder / 'port').read_text()} -> 8786", flush=True)
    time.sleep(600)


def delete(folder: Path) -> None:
    """End the cluster."""
    for pid in (folder / "pids").read_text().split():
        os.killpg(int(pid), signal.SIGKILL)
    (folder / "deleted").touch()


if __name__ == "__main__":
    place, words = Path(sys.argv[1]), sys.argv[2:]
    {"apply": apply, "port-forward": forward, "delete": delete}[
        next(word for word in words if word in ("apply", "port-forward", "delete"))
    ](place)
