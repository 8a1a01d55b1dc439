"""The process that takes apart and reads what a stranger sent: one upload, with little memory and time, and then it ends.

It is started as a program of its own by `hypojax.app.safe_reader`. It gets one request (JSON) from the standard input and leaves its
answer in a file. Its limits are set before anything that reads images is imported.
"""

import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

MOST_REQUEST: Final = 16 << 20
"""Bytes of a request: the names of ten thousand files."""

LATER: Final = 2
"""Seconds of the processor after which a process is killed that did not end when its time was over."""

KEPT: Final = 300
"""Characters kept of what an error says."""


def main() -> None:
    """Read the request, do what it asks for, write the answer."""
    request = json.loads(sys.stdin.buffer.read(MOST_REQUEST))
    set_limits(request["limits"])
    answer = answered(request)
    part = Path(request["answer"] + ".part")
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.replace(request["answer"])


def set_limits(limits: Mapping[str, int]) -> None:
    """Bound this process, for good: bytes of address space, seconds, bytes of a file, open files; no picture of its memory on the disk."""
    os.umask(0o077)
    os.nice(10)  # whoever is measured now comes first
    signal.alarm(limits["clock_seconds"])
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits["seconds"] + LATER),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_AS, limits["memory"]),
    ):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))
    seconds, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (max(seconds - LATER, 1), hard))  # the first says why, the last cannot be put off


def answered(request: Mapping[str, Any]) -> dict[str, Any]:
    """What became of a request: its answer, or reason and message of a refusal."""
    from hypojax.reason import HypojaxError, Reason

    try:
        return TASKS[request["task"]](request)
    except HypojaxError as error:
        return {"reason": str(error.reason), "message": str(error)}
    except MemoryError:
        return {"reason": Reason.TOO_LARGE, "message": "it needs more memory than one scan may take; crop it, or resample it"}
    except OSError as error:
        if error.errno in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT):
            return {"reason": Reason.TOO_LARGE, "message": "its files need more room than there is"}
        return {"reason": Reason.UNREADABLE, "message": f"it cannot be read ({error.strerror or type(error).__name__})"}
    except Exception as error:  # noqa: BLE001 - a stranger's file may do anything to its readers
        return {"reason": Reason.UNREADABLE, "message": f"it cannot be read ({type(error).__name__})"[:KEPT]}


def _read(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read one scan and leave a clean copy of it."""
    from hypojax.scans.clean_copy import described, write_clean_copy
    from hypojax.scans.reading import read_file, read_series
    from hypojax.scans.voxels import refuse_label_map

    source = Path(request["source"])
    image = read_series(source) if source.is_dir() else read_file(source)
    refuse_label_map(image)
    copy = write_clean_copy(Path(request["into"]), request["name"], image)
    return {"file": copy.name, "read": described(image)}


def _unpack(request: Mapping[str, Any]) -> dict[str, Any]:
    """Take a zip apart and say which scans it holds."""
    from hypojax.app.zip_contents import unpack

    files = unpack(Path(request["source"]), Path(request["into"]), most_bytes=request["most_bytes"], most_files=request["most_files"])
    return _sorted(files, request)


def _sort(request: Mapping[str, Any]) -> dict[str, Any]:
    """Say which scans files hold."""
    from hypojax.app.zip_contents import UnpackedFile

    return _sorted([UnpackedFile(name, Path(path)) for name, path in request["files"]], request)


def _sorted(files: list[Any], request: Mapping[str, Any]) -> dict[str, Any]:
    from hypojax.app.sorted_files import sort_files

    scans = sort_files(files, Path(request["into"]), most=request["most_scans"])
    return {"scans": [{"name": one.name, "path": str(one.path), "reason": str(one.reason), "message": one.message} for one in scans]}


TASKS: Final[dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {"read": _read, "unpack": _unpack, "sort": _sort}
