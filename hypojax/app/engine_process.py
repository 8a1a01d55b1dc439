"""What runs in the process of the engine: scans are measured by `hypojax.run` into the cohort of their session, and drawn.

It is started as a program of its own by `hypojax.app.scan_engine`, which asks for one thing after another (JSON) and gets an answer to
each. It works in the folder of the session, so that the cohort holds no path of this machine.
"""

import importlib
import json
import os
import shutil
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from hypojax.execute import Segments

DATASET: Final = "scans"
"""Name of the dataset of all scans of a session."""

BUSY_SECONDS: Final = 60.0
"""How long to wait for a cohort that a process which is about to end still holds."""

STEP: Final = 1.0
"""Seconds between two looks."""


def main() -> None:
    """Load the networks, then do what is asked until the line is closed."""
    line = Connection(int(os.environ.pop("HYPOJAX_ENGINE_LINE")))
    told = json.loads(line.recv_bytes())
    threading.Thread(target=end_with, args=(told["parent"],), daemon=True).start()
    os.umask(0o077)
    engine: EngineWork | None = None
    answer: Mapping[str, Any] = {}
    try:
        engine = EngineWork(load(told), Path(told["norms"]) if told["norms"] else None)
    except Exception as error:  # noqa: BLE001 - said to the one who asked
        answer = refused(error)
    while True:
        try:
            line.send_bytes(json.dumps(answer).encode())
            if engine is None:
                return
            request = json.loads(line.recv_bytes())
        except (OSError, EOFError):
            return
        answer = engine.do(request)


def end_with(parent: int) -> None:
    """End this process when the server is gone, whatever it is doing: its successor starts an engine of its own."""
    while os.getppid() == parent:
        time.sleep(STEP)
    os._exit(1)


def load(told: Mapping[str, Any]) -> "Segments":
    """The networks that the settings name."""
    from hypojax.execute import load_segmenter
    from hypojax.settings import RunSettings

    if told["network"]:
        module, _, function = told["network"].partition(":")
        network: Segments = getattr(importlib.import_module(module), function)()
        return network
    return load_segmenter(RunSettings(weights=Path(told["weights"]) if told["weights"] else None))


def refused(error: Exception) -> dict[str, str]:
    """An error as an answer."""
    from hypojax.reason import HypojaxError, Reason

    if isinstance(error, HypojaxError):
        return {"reason": str(error.reason), "message": str(error)}
    if isinstance(error, MemoryError):
        return {"reason": Reason.OUT_OF_MEMORY, "message": "there was not enough memory for this scan"}
    return {"reason": Reason.UNEXPECTED, "message": f"unexpected {type(error).__name__}; send the scan once more"}


class EngineWork:
    """What the engine can do; every value of a request comes from the server, not from a visitor.

    Parameters
    ----------
    network
        The networks, loaded once.
    norms
        File of norms.
    """

    def __init__(self, network: "Segments", norms: Path | None) -> None:
        self._network, self._norms = network, norms
        self._tasks = {"measure": self._measure, "draw": self._draw, "forget": self._forget}

    def do(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        """Do what is asked in the folder of the session; the answer."""
        try:
            os.chdir(request["folder"])
            return self._tasks[request["task"]](request)
        except Exception as error:  # noqa: BLE001 - said to the one who asked
            return refused(error)
        finally:
            os.chdir("/")

    def _measure(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        """Add a scan to the cohort: its status, and why it failed."""
        from hypojax.execute import run
        from hypojax.reason import Reason, RunError

        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                outcome = run([request["file"]], request["cohort"], segmenter=self._network, dataset=DATASET)
            except RunError as error:
                if error.reason != Reason.BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(STEP)
            else:
                result = next(result for result in outcome.results if result.scan == request["scan"])
                return {"status": result.status, "why": result.reason, "said": result.message, "seconds": result.seconds}

    def _draw(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        """Draw the page of a scan, its sections, and what was found in it, into a folder."""
        from hypojax.app.scan_drawing import draw_scan

        draw_scan(request["cohort"], request["scan"], name=request["name"], into=Path(request["into"]), norms=self._norms)
        return {}

    def _forget(self, request: Mapping[str, str]) -> Mapping[str, Any]:
        """Take a scan out of the cohort; the cohort itself where it is the only one."""
        from hypojax.execute import remove
        from hypojax.store import index_of

        cohort = Path(request["cohort"])
        index = index_of(cohort / "cohort.zarr")
        known = set(index.ids) if index is not None else set()
        if known == {request["scan"]}:
            for path in cohort.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif request["scan"] in known:
            remove(cohort, request["scan"])
        return {}
