"""A session and an engine for tests of what lies between them, and networks that end the process of the engine."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hypojax.app.safe_reader import CleanScan, ScanSource
from hypojax.app.scan_engine import EngineEndedError
from hypojax.app.sorted_files import sort_files
from hypojax.app.zip_contents import unpack
from hypojax.reason import HypojaxError, Reason


@dataclass(frozen=True)
class StandInSession:
    """What `hypojax.app.visits.Session` is to jobs."""

    id: str
    folder: Path

    @property
    def uploads(self) -> Path:
        return self.folder / "uploads"

    @property
    def cohort(self) -> Path:
        return self.folder / "cohort"

    def touch(self) -> None:
        """Nothing here has an end."""

    def sent(self, name: str, content: bytes) -> Path:
        """A file that was uploaded."""
        path = self.uploads / name
        path.write_bytes(content)
        return path


def new_session(folder: Path, name: str = "a") -> StandInSession:
    """A session with its folders; one that is there is found again."""
    session = StandInSession(name * 32, folder / (name * 32))
    session.uploads.mkdir(parents=True, exist_ok=True)
    session.cohort.mkdir(exist_ok=True)
    return session


class StandInEngine:
    """An engine that measures nothing: it says what it was asked, and waits where a test holds it.

    Parameters
    ----------
    settings
        Of the engine; not used.
    """

    def __init__(self, settings: object) -> None:
        self.asked: list[tuple[str, str]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.begun = threading.Event()
        self.ends_at: set[str] = set()
        self.is_closed = False

    pid = None

    def start(self) -> None:
        """Nothing is loaded."""

    def ask(self, task: str, **values: str) -> Mapping[str, Any]:
        """What `ScanEngine.ask` gives."""
        self.asked.append((task, values["scan"]))
        if task == "measure":
            assert (Path(values["folder"]) / values["file"]).is_file()
            self.begun.set()
            self.may_go_on.wait()
        if self.is_closed or (task == "measure" and values["scan"] in self.ends_at):
            raise EngineEndedError(Reason.CRASHED, "the program that measures ended unexpectedly")
        if task == "measure" and "bad" in values["scan"]:
            return {"status": "failed", "why": "no_brain", "said": f"scan {values['scan']!r}: no brain was found ({values['file']})"}
        return {"status": "done"}

    def interrupt(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Let go what is held."""
        self.is_closed = True
        self.may_go_on.set()

    def end(self) -> None:
        """Nothing runs."""


class StandInReader:
    """A reader that believes everything, in this process.

    Parameters
    ----------
    limits
        Not used.
    """

    def __init__(self, limits: object) -> None:
        self.stopped = 0

    def read(self, source: Path, *, into: Path, name: str) -> CleanScan:
        """What `SafeReader.read` gives."""
        if b"no image" in source.read_bytes():
            raise HypojaxError(Reason.NOT_AN_IMAGE, "it is no image")
        path = into / f"{name}.nii.gz"
        path.write_bytes(source.read_bytes())
        return CleanScan(path, {"dimensions": "20 × 18 × 16"})

    def unpack(self, source: Path, *, into: Path, most_bytes: int) -> list[ScanSource]:
        """What `SafeReader.unpack` gives."""
        files = unpack(source, into, most_bytes=min(most_bytes, 1 << 20), most_files=20)
        return [ScanSource(scan.name, scan.path, scan.reason, scan.message) for scan in sort_files(files, into, most=20)]

    def stop(self) -> None:
        """Nothing to end."""
        self.stopped += 1


class EndingNetwork:
    """A network that ends its process at scans whose first axis is short, and finds no brain in others."""

    batch = 1
    provenance: Mapping[str, str] = {"weights_head_sha256": "0", "weights_box_sha256": "0"}

    def prepare(self, volume: np.ndarray, affine: np.ndarray) -> None:
        """End, or refuse."""
        if volume.shape[0] < 20:
            os._exit(9)
        raise HypojaxError(Reason.NO_BRAIN, "no brain was found")

    def segment_batch(self, scans: object) -> None:
        """Nothing comes here."""
        raise AssertionError


def ending() -> EndingNetwork:
    """What an engine loads (``stand_in_session:ending``)."""
    return EndingNetwork()
