"""A file on its way: whole or not there, whoever writes it at the same time, and whatever a process left that died of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypojax.storage import PARTIAL, read_version, replacing, swap

WRITERS = 8
"""Threads open the file each by itself, so that locks part them as they part processes."""


def test_writers_of_one_file_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    contents = [bytes([number]) * (10_000 * (number + 1)) for number in range(WRITERS)]

    def write(content: bytes) -> None:
        for _ in range(30):
            with replacing(path, through=False) as file:
                for start in range(0, len(content), 4096):
                    file.write(content[start : start + 4096])
            assert path.read_bytes() in contents

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, contents))
    assert [found.name for found in path.parent.iterdir()] == ["file"]


def test_what_a_dead_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    partial = path.with_name(path.name + PARTIAL)
    partial.write_bytes(b"more than comes now")
    with replacing(path) as file:
        file.write(b"now")
    assert path.read_bytes() == b"now"
    assert not partial.exists()


def test_an_error_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_of_writers_that_saw_one_version_one_writes(tmp_path: Path) -> None:
    """On a disk as in a bucket: each adds one to a number that it has read, and no addition is lost."""
    path = tmp_path / "number"
    path.write_bytes(b"0")

    def add(_: int) -> None:
        while True:
            data, seen = read_version(path)
            if swap(path, str(int(data) + 1).encode(), seen=seen) is not None:
                return

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(add, range(40)))
    assert path.read_bytes() == b"40"
    assert swap(path, b"new", seen=None) is None
