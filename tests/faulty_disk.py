"""A disk that fails: every file that is about to be written may meet an error of the system, as a full or a read-only disk gives it."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

OPEN = Path.open


class Broken(io.BufferedWriter):
    """A file that takes half of what is written, then none."""

    def __init__(self, path: Path, code: int) -> None:
        super().__init__(io.FileIO(path, "ab"))
        self._error = OSError(code, os.strerror(code), str(path))

    def write(self, data: bytes) -> int:
        super().write(data[: len(data) // 2])
        self.flush()
        raise self._error


def break_disk(monkeypatch: pytest.MonkeyPatch, code: int, *, when: Callable[[Path], bool]) -> None:
    """Let files of which ``when`` says so fail with ``code`` while they are written, until the patch is undone."""

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> IO[Any]:  # noqa: ANN401  (as `Path.open` has them)
        return Broken(path, code) if mode == "ab" and when(path) else OPEN(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)


def later(after: int) -> Callable[[Path], bool]:
    """Every file after so many."""
    calls = [0]

    def when(path: Path) -> bool:
        calls[0] += 1
        return calls[0] > after

    return when
