"""In-flight marks: which scans a process has begun. A mark that stays behind names a scan that was at work when its process died."""

import json
from typing import Final

from hypojax.location import Location
from hypojax.store.document import encode
from hypojax.store.ledger import record_path
from hypojax.store.objects import place, writing

MARK: Final = "in-flight.json"
"""Stands beside the place of a scan's ledger record, which ends it."""


def mark_path(root: Location, scan: str) -> Location:
    """Where the mark of a scan stands in the store at ``root``."""
    return record_path(root, scan).with_name(MARK)


def set_mark(path: Location) -> None:
    """Say that a scan is being worked on, one time more than its mark says already.

    Raises
    ------
    RunError
        ``DISK_FULL`` or ``NOT_WRITABLE``.
    """
    place(path, encode({"begun": begun(path) + 1}), through=False)


def clear_mark(path: Location) -> None:
    """Say that nobody is working on a scan; nothing where no mark is.

    Raises
    ------
    RunError
        ``NOT_WRITABLE``.
    """
    with writing(path):
        path.unlink(missing_ok=True)


def begun(path: Location) -> int:
    """How often a scan was begun and not brought to its record; 0 without a mark, 1 where the mark cannot be read."""
    try:
        return int(json.loads(path.read_bytes())["begun"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError):
        return 1
