"""A file on its way: whole or not there, whoever writes it at the same time, and whatever a process left that died of it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hypojax.storage.partial import partial_path, replacing

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
    partial_path(path).write_bytes(b"more than comes now")
    with replacing(path) as file:
        file.write(b"now")
    assert path.read_bytes() == b"now"
    assert not partial_path(path).exists()


def test_an_error_leaves_what_stood_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
