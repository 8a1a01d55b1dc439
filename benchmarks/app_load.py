"""Several visitors of the page at once, each with several scans: none may be lost, and memory must not grow.

    python benchmarks/app_load.py SCANS --out figures.json                 # starts `hypojax app`, with the released weights
    python benchmarks/app_load.py SCANS --visitors 8 --each 5
    python benchmarks/app_load.py SCANS --url http://127.0.0.1:7860        # one that runs; memory is not measured

SCANS is a folder of images. Each visitor does over HTTP what a browser does: opens the page, sends files, asks every second how far they
are, and downloads table and zip, which must hold every scan. Exit code 1 when a scan is lost or a bar is missed.
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import psutil
from figures import Figure, add, machine

COMMAND: Final = (sys.executable, "-c", "import sys; from hypojax.cli import main; sys.exit(main())", "app", "--no-browser")
OPEN: Final = frozenset({"waiting", "reading", "measuring", "drawing"})
SECONDS: Final = 1.0
"""Between two questions of a visitor."""

PATIENCE: Final = 3600.0
"""Seconds that a visitor waits for all her scans."""


@dataclass
class Visitor:
    """Somebody who has the page open.

    Parameters
    ----------
    url
        Of the page.
    files
        Images to send.
    """

    url: str
    files: list[Path]
    states: dict[str, int] = field(default_factory=dict)
    scans: int = 0
    zipped: int = 0
    seconds: float = 0.0

    def visit(self) -> "Visitor":
        """Send the files, wait, and download."""
        start = time.monotonic()
        with httpx.Client(base_url=self.url, timeout=120.0, headers={"Origin": self.url}) as client:
            client.get("/").raise_for_status()
            event = sending(client.get("/config").json())
            hash_ = uuid4().hex[:12]
            parts = [("files", (f"{uuid4().hex[:8]}-{path.name}", path.read_bytes())) for path in self.files]
            sent = client.post("/gradio_api/upload", files=parts)
            sent.raise_for_status()
            self._call(client, event, hash_, act="send", paths=sent.json())
            while not self.states or OPEN & set(self.states):
                if time.monotonic() - start > PATIENCE:
                    break
                time.sleep(SECONDS)
                self._call(client, event, hash_, act="look")
            self._download(client)
        self.seconds = time.monotonic() - start
        return self

    def _call(self, client: httpx.Client, event: tuple[int, int], hash_: str, **data: Any) -> None:
        """What the page does when a button is pressed; the answer is the table of the scans."""
        number, part = event
        body = {"data": [], "fn_index": number, "session_hash": hash_, "trigger_id": part, "event_data": data}
        answer = client.post("/gradio_api/run/predict", json=body)
        answer.raise_for_status()
        found = re.findall(r'<tr data-state="(\w+)"', str(answer.json()["data"][0]))
        self.states = {state: found.count(state) for state in found}

    def _download(self, client: httpx.Client) -> None:
        """The table and the zip of all scans."""
        table = client.get("/mine/all/volumes.tsv")
        lines = table.text.splitlines() if table.status_code == 200 else ["scan"]
        column = lines[0].split("\t").index("scan")
        self.scans = len({line.split("\t")[column] for line in lines[1:]})
        packed = client.get("/mine/all/all.zip")
        if packed.status_code == 200:
            names = zipfile.ZipFile(io.BytesIO(packed.content)).namelist()
            self.zipped = sum(name.endswith(".nii.gz") for name in names)


def sending(config: dict[str, Any]) -> tuple[int, int]:
    """Number of the event that sends many scans, and the part of the page that has it."""
    part = next(each["id"] for each in config["components"] if each["props"].get("elem_id") == "many-drop")
    return next(each["id"] for each in config["dependencies"] if [part, "submit"] in [list(to) for to in each["targets"]]), part


@contextmanager
def server(folder: Path, options: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """`hypojax app` at a free port: its address, and its process."""
    log = folder / "server.log"
    with log.open("wb") as sink:
        process = subprocess.Popen([*COMMAND, *options], stdout=sink, stderr=sink)
        try:
            while not (found := re.search(r"http://[\w.:\[\]]+", log.read_text())):
                assert process.poll() is None, log.read_text()
                time.sleep(0.2)
            yield found[0].rstrip("/.:"), psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def resident(process: psutil.Process) -> dict[str, float]:
    """Resident memory of the server and of the processes below it, MB."""
    return {
        f"{'server' if each == process else 'engine'} {each.pid}": each.memory_info().rss / 1e6
        for each in (process, *process.children(recursive=True))
        if each.is_running()
    }


def rounds(url: str, files: list[Path], *, visitors: int, each: int) -> list[Visitor]:
    """All visitors at once."""
    turn = cycle(files)
    waiting = [Visitor(url, list(islice(turn, each))) for _ in range(visitors)]
    with ThreadPoolExecutor(visitors) as pool:
        return list(pool.map(Visitor.visit, waiting))


def figures(found: list[Visitor], seconds: float, before: dict[str, float], after: dict[str, float]) -> list[Figure]:
    """Lost scans, pace, and memory."""
    sent = sum(len(visitor.files) for visitor in found)
    done = sum(visitor.states.get("done", 0) for visitor in found)
    kept = sum(min(visitor.scans, len(visitor.files)) for visitor in found)
    detail = {"states": [visitor.states for visitor in found], "label_maps": [visitor.zipped for visitor in found]}
    lost = Figure(
        "app_lost", f"scans lost of {sent} of {len(found)} visitors", float(sent - min(done, kept)), "scans", most=0.0, detail=detail
    )
    pace = Figure(
        "app_pace", "scans from sending to download, all visitors at once", done / seconds, "scans/s", detail={"seconds": seconds}
    )
    if not before:
        return [lost, pace]
    grown = sum(after.values()) / sum(before.values())
    memory = {"before_mb": before, "after_mb": after}
    return [
        lost,
        pace,
        Figure("app_memory", "resident memory after all scans against after the first one", grown, "times", most=1.2, detail=memory),
    ]


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=Path)
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--url", default="", help="of a page that runs already")
    parser.add_argument("--options", default="", help="of hypojax app, such as '--weights FOLDER'")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    files = sorted(path for path in given.scans.rglob("*.nii*") if path.is_file())
    size = {"visitors": given.visitors, "each": given.each}
    if given.url:
        start = time.monotonic()
        found = rounds(given.url.rstrip("/"), files, **size)
        made = figures(found, time.monotonic() - start, {}, {})
    else:
        with tempfile.TemporaryDirectory() as folder, server(Path(folder), given.options.split()) as (url, process):
            rounds(url, files, visitors=1, each=1)  # networks are loaded and compiled
            before = resident(process)
            start = time.monotonic()
            found = rounds(url, files, **size)
            made = figures(found, time.monotonic() - start, before, resident(process))
    if given.out is None:
        print(machine())
    add(given.out, made)
    return 0 if all(figure.met for figure in made) else 1


if __name__ == "__main__":
    sys.exit(main())
