"""The real server of the page for tests: `hypojax app` in a process of its own at a free port, with networks that are tiny."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PATIENCE = 400.0
"""Seconds that a server has to answer: ten on a quiet machine."""

COMMAND = "import sys; from hypojax.cli import main; sys.exit(main(['app', *sys.argv[1:]]))"


@dataclass
class AppServer:
    """A server that runs.

    Parameters
    ----------
    process
        Its process.
    log
        File of all that it says.
    url
        What to open, without a slash at the end.
    folder
        Temporary folder of the server: sessions lie below it.
    """

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    folder: Path

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.url).port or 0

    @property
    def said(self) -> str:
        """All that it said so far."""
        return self.log.read_text(encoding="utf-8")


@contextmanager
def running_app(tmp_path: Path, **settings: object) -> Iterator[AppServer]:
    """Start a server, give it, and end it.

    Parameters
    ----------
    tmp_path
        Folder for its sessions, weights and log: with the same one, and the same port, a second server finds the sessions of a first.
    **settings
        Those of `hypojax.app.app_settings.AppSettings`. Default: tiny weights, no browser, any free port.
    """
    folder = tmp_path / "app"
    folder.mkdir(mode=0o700, exist_ok=True)
    given = {"weights": tiny_weights(tmp_path / "weights"), "browser": False, "port": free_port(), **settings}
    log = tmp_path / "app.log"
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu"}
    with log.open("ab") as sink:
        begun = sink.tell()
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *options(given)], stdout=sink, stderr=sink, env=environment)
    try:
        yield AppServer(process, log, address(process, log, begun), folder)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def options(settings: dict[str, object]) -> list[str]:
    """Settings as options of the command line.

    >>> options({"browser": False, "max_upload": "1MB", "host_name": ("a", "b")})
    ['--no-browser', '--max-upload', '1MB', '--host-name', 'a', 'b']
    """
    found: list[str] = []
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            found.append(f"--{option}" if value else f"--no-{option}")
        else:
            found += [f"--{option}", *map(str, value if isinstance(value, tuple) else (value,))]
    return found


def address(process: subprocess.Popen[bytes], log: Path, begun: int) -> str:
    """What a server that was just started says to open, once it says so."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = log.read_bytes()[begun:].decode()
        if "http://" in said and "\n" in said.partition("http://")[2]:
            return "http://" + said.partition("http://")[2].split()[0].rstrip("/,;.")
        assert process.poll() is None, said
        time.sleep(0.1)
    raise AssertionError(f"the server said no address: {log.read_text()}")


def free_port() -> int:
    """A port that nobody has."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def tiny_weights(folder: Path) -> Path:
    """A folder of weights with the networks of `tiny_segmenter`."""
    from tiny_segmenter import BOX, HEAD, drawn

    from hypojax.checkpoint import save_checkpoint
    from hypojax.preprocessing.intensity import NORMALISATION

    if not (folder / "SHA256SUMS").is_file():
        folder.mkdir(exist_ok=True)
        sums = []
        for name, config, seed in (("head", HEAD, 0), ("box", BOX, 1)):
            network, about = drawn(config, seed=seed), {"normalisation": NORMALISATION[name]}
            digest = save_checkpoint(folder / f"{name}.safetensors", network.weights, network=config, header=about)
            sums.append(f"{digest}  {name}.safetensors\n")
        (folder / "SHA256SUMS").write_text("".join(sums))
    return folder
