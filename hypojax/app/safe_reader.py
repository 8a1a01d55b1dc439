"""Reading what a stranger sent without trusting it: in a process of its own, bounded, whose answer is checked like any other upload.

The bounds are set by the process itself before it reads anything (`hypojax.app.reading_process`); the clock is here, in case it does not.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from hypojax.reason import HypojaxError, Reason, visible

COMMAND: Final = (sys.executable, "-P", "-c", "from hypojax.app.reading_process import main; main()")
"""Modules are not looked for in the folder that somebody happens to be in (``-P``), but where this process found them."""

GRACE: Final = 15.0
"""Seconds that the process may take longer than its own clock allows, for starting and ending."""

MOST_ANSWER: Final = 8 << 20
"""Bytes of an answer."""

LONGEST: Final = 500
"""Characters of a sentence that are shown."""

READ: Final = ("dimensions", "voxel_size_mm", "orientation", "format")
PATHS: Final = re.compile(r"(?<![\w.:/])/(?:[^\s/'\"();,]+/)+[^\s'\"();,]*")
"""Paths of this machine in a sentence."""

TOO_LONG: Final = (signal.SIGALRM, signal.SIGXCPU)


@dataclass(frozen=True)
class ReadingLimits:
    """What one reading may take.

    Parameters
    ----------
    memory
        Bytes of address space: a scan of 500 million voxels.
    seconds
        Of the processor.
    clock_seconds
        Of the clock: far more, since a reading waits while others are measured.
    file_bytes
        Bytes of a file that it writes.
    open_files
        Files open at once.
    most_bytes
        Bytes that the files of a zip may take together.
    most_files
        Files of a zip.
    most_scans
        Scans of one zip or of DICOM files sent together.
    """

    memory: int = 4 << 30
    seconds: int = 120
    clock_seconds: int = 900
    file_bytes: int = 2 << 30
    open_files: int = 256
    most_bytes: int = 2 << 30
    most_files: int = 20_000
    most_scans: int = 500


@dataclass(frozen=True)
class CleanScan:
    """A scan that was read.

    Parameters
    ----------
    file
        Its clean copy.
    read
        What was read: ``dimensions``, ``voxel_size_mm``, ``orientation``, ``format``.
    """

    file: Path
    read: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScanSource:
    """A scan among files: its name, its file or the folder of its series, and why it is not to be measured, if so."""

    name: str
    path: Path
    reason: str = ""
    message: str = ""


class SafeReader:
    """Starts a process for each thing to read; one thread at a time reads, others may stop it.

    Parameters
    ----------
    limits
        Of each process.
    command
        The process.
    """

    def __init__(self, limits: ReadingLimits | None = None, *, command: Sequence[str] = COMMAND) -> None:
        self.limits, self._command = limits or ReadingLimits(), tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, source: Path, *, into: Path, name: str) -> CleanScan:
        """Read one image, or the folder of one series, and leave a clean copy.

        Parameters
        ----------
        source
            The file or folder.
        into
            Folder of the copy; its name there is ``name`` and a suffix.

        Raises
        ------
        HypojaxError
            Why it cannot be used, in a sentence without paths.
        """
        answer = self._ask({"task": "read", "source": str(source), "into": str(into), "name": name}, folder=into)
        file, read = answer.get("file"), answer.get("read")
        if not isinstance(file, str) or file not in (f"{name}.nii.gz", f"{name}.mgz") or not isinstance(read, dict):
            raise _no_answer()
        copy = into / file
        if copy.is_symlink() or not copy.is_file():
            raise _no_answer()
        return CleanScan(copy, {key: visible(str(read.get(key, "")))[:LONGEST] for key in READ})

    def unpack(self, source: Path, *, into: Path, most_bytes: int) -> list[ScanSource]:
        """Take a zip apart whose files may take so many bytes; ``into`` is an empty folder. Errors as `read`."""
        return self._scans({"task": "unpack", "source": str(source), "into": str(into), "most_bytes": most_bytes}, into)

    def sort(self, files: Sequence[Path], *, into: Path) -> list[ScanSource]:
        """The scans among files that were sent together, which are moved into the empty folder ``into``. Errors as `read`."""
        return self._scans({"task": "sort", "files": [(file.name, str(file)) for file in files], "into": str(into)}, into)

    def stop(self) -> None:
        """End what is being read."""
        with self._lock:
            if self._process is not None:
                _kill(self._process)

    def _scans(self, request: dict[str, Any], into: Path) -> list[ScanSource]:
        scans = self._ask(request, folder=into).get("scans")
        if not isinstance(scans, list) or len(scans) > self.limits.most_scans:
            raise _no_answer()
        return [_source(scan, into) for scan in scans]

    def _ask(self, request: dict[str, Any], *, folder: Path) -> dict[str, Any]:
        """The answer of a process to a request; its temporary files lie in ``folder`` and are removed."""
        with tempfile.TemporaryDirectory(prefix=".reading-", dir=folder) as temporary:
            answer = Path(temporary) / "answer.json"
            limits = asdict(self.limits)
            status = self._run({**limits, **request, "limits": limits, "answer": str(answer)}, temporary)
            return _checked(answer, status, seconds=self.limits.seconds)

    def _run(self, request: Mapping[str, Any], temporary: str) -> int:
        """Run the process to its end; its exit status, negative where a signal ended it."""
        with self._lock:
            process = self._process = subprocess.Popen(  # noqa: S603 - a command of ours
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                cwd=temporary, env=environment(temporary), start_new_session=True,
            )  # fmt: skip
        try:
            process.communicate(json.dumps(request).encode(), timeout=self.limits.clock_seconds + GRACE)
        except subprocess.TimeoutExpired:
            return -signal.SIGALRM
        finally:
            with self._lock:
                _kill(process)  # and what it started
                self._process = None
            process.wait()
        return process.returncode


def environment(temporary: str) -> dict[str, str]:
    """Environment of the process: what it needs to find modules and its temporary folder, and one thread."""
    path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)  # noqa: PTH100 - "" is the folder that one is in
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MALLOC_ARENA_MAX"), "1")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, **threads, "PYTHONPATH": path, "TMPDIR": temporary, "HOME": temporary}


def without_paths(text: str) -> str:
    """A sentence fit to be shown to a stranger.

    >>> without_paths("no space left in /srv/hypojax/a b; free some")
    'no space left in … b; free some'
    """
    return visible(PATHS.sub("…", " ".join(text.split())))[:LONGEST]


def _checked(answer: Path, status: int, *, seconds: int) -> dict[str, Any]:
    """What a process left."""
    if -status in TOO_LONG:
        raise HypojaxError(
            Reason.UNREADABLE,
            f"reading it took too long ({seconds} seconds of the processor are allowed) and was stopped; send a smaller file",
        )
    try:
        if answer.stat().st_size > MOST_ANSWER:
            raise _no_answer()
        found = json.loads(answer.read_bytes())
    except (OSError, ValueError) as error:
        raise _no_answer(status) from error
    if not isinstance(found, dict):
        raise _no_answer()
    if found.get("reason"):
        reason = str(found["reason"])
        known = Reason(reason) if reason in set(Reason) else Reason.UNREADABLE
        raise HypojaxError(known, without_paths(str(found.get("message", ""))))
    return found


def _source(scan: object, into: Path) -> ScanSource:
    """A scan that an answer names, which must lie where it was put."""
    if not isinstance(scan, dict):
        raise _no_answer()
    path = Path(str(scan.get("path")))
    inside = path.resolve().is_relative_to(into.resolve()) or path.resolve().is_relative_to((into.parents[1] / "uploads").resolve())
    if not inside or path.is_symlink() or not path.exists():
        raise _no_answer()
    name, reason = visible(str(scan.get("name")))[:LONGEST], str(scan.get("reason", ""))
    return ScanSource(name, path, reason if reason in set(Reason) else Reason.UNREADABLE, without_paths(str(scan.get("message", ""))))


def _no_answer(status: int = 0) -> HypojaxError:
    how = f" (signal {-status})" if status < 0 else ""
    return HypojaxError(Reason.UNREADABLE, f"the program that reads files ended on it{how}: it is damaged, or too large for this machine")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it started."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
