"""The server of the page is cut off from every network, killed, and started again."""

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from app_servers import running_app
from sample_scans import nifti_bytes

WAIT = 300.0
NAME = "sub-Mueller_T1w.nii.gz"
IFF_UP, SIOCGIFFLAGS, SIOCSIFFLAGS = 1, 0x8913, 0x8914
CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
NO_NAMESPACE = 77


@pytest.mark.slow
def test_a_session_outlives_a_server_that_is_killed_and_no_network_is_needed(tmp_path: Path) -> None:
    """In a process of its own, because a process that has left the network cannot come back."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * WAIT, check=False)
    if done.returncode == NO_NAMESPACE:
        pytest.skip("this user may not leave the network: that needs root or user namespaces")
    assert done.returncode == 0, done.stdout + done.stderr


def leave_the_network() -> bool:
    """Take this process out of all networks but a loopback of its own; False where that is forbidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0 and libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
    return True


def visit(folder: Path) -> None:
    """Send a file, kill the server, and look for the file with the same cookie and with another."""
    with httpx.Client(timeout=WAIT) as visitor, httpx.Client(timeout=WAIT) as other:
        with running_app(folder) as server:
            visitor.get(server.url)
            (path,) = visitor.post(f"{server.url}/gradio_api/upload", files={"files": (NAME, b"voxels")}).json()
            measured = run_of(visitor, server.url)
            assert (measured["state"], measured["reason"]) in (("done", ""), ("failed", "no_brain"), ("failed", "no_hypothalamus"))
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        with running_app(folder, port=server.port) as again:
            assert again.port == server.port
            other.get(again.url)
            assert "set-cookie" not in visitor.get(again.url).headers
            assert Path(path).read_bytes() == b"voxels"
            call = {"data": [], "fn_index": 9999, "event_data": {"path": path}}
            assert other.post(f"{again.url}/gradio_api/run/predict", json=call).status_code == 403
            assert (
                visitor.post(f"{again.url}/gradio_api/run/predict", json=call).status_code == 500
            )  # the file is hers; there is no such event
        assert "Mueller" not in again.said
        assert "/sessions/" not in again.said


def run_of(visitor: httpx.Client, url: str) -> dict[str, Any]:
    """What the networks, drawn at random, make of noise: sent, read and measured as from a script."""
    scan = nifti_bytes(np.random.default_rng(0).integers(0, 400, (20, 18, 16)).astype("i2"))
    (path,) = visitor.post(f"{url}/gradio_api/upload", files={"files": ("noise.nii", scan)}).json()
    call = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    event = visitor.post(f"{url}/gradio_api/call/segment", json=call).json()["event_id"]
    with visitor.stream("GET", f"{url}/gradio_api/call/segment/{event}") as said:
        lines = list(said.iter_lines())
    (answer,) = [line.removeprefix("data: ") for before, line in pairwise(lines) if before == "event: complete"]
    found: dict[str, Any] = json.loads(answer)[0]["scans"][0]
    return found


if __name__ == "__main__":
    if not leave_the_network():
        sys.exit(NO_NAMESPACE)
    visit(Path(sys.argv[1]))
