"""What networks were compiled to is kept for the next process, where nobody else can write, and changes no result."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hypojax.segmenter.compile_cache import FOLDER, LEAST_SECONDS, use_compile_cache

COMPILE = """
from hypojax.segmenter.compile_cache import use_compile_cache
folder = use_compile_cache()
import jax, numpy as np
print(jax.jit(lambda x: jax.numpy.tanh(x @ x).sum())(np.arange(9, dtype=np.float32).reshape(3, 3) / 9).tobytes().hex())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (FOLDER, LEAST_SECONDS):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delitem(sys.modules, "jax", raising=False)  # as in a program that has not imported it yet
    return tmp_path / "cache"


def compiled(code: str = COMPILE, **environment: str) -> subprocess.CompletedProcess[str]:
    """Compile something in a process of its own, in which every warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "JAX_PLATFORMS": "cpu", LEAST_SECONDS: "0", **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip


def test_the_folder_is_made_for_its_owner_alone(home: Path) -> None:
    before = os.umask(0)
    try:
        folder = use_compile_cache()
    finally:
        os.umask(before)
    assert folder is not None
    assert folder.parent == home / "hypojax"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert os.environ[FOLDER] == str(folder)
    assert use_compile_cache() == folder


@pytest.mark.parametrize("which", ["hypojax", "hypojax/kind"])
def test_a_folder_that_others_can_write_to_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hypojax.segmenter.compile_cache.processor", lambda: "kind")
    (home / which).mkdir(parents=True)
    (home / "hypojax").chmod(0o700)
    (home / which).chmod(0o777)
    assert use_compile_cache() is None
    assert not os.environ[FOLDER]
    assert "chmod 700" in caplog.text


def test_a_link_to_elsewhere_is_not_followed(home: Path) -> None:
    (home / "elsewhere").mkdir(parents=True, mode=0o700)
    (home / "hypojax").symlink_to(home / "elsewhere")
    assert use_compile_cache() is None


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER, "gs://bucket/cache")
    assert use_compile_cache() == Path("gs://bucket/cache")
    monkeypatch.setenv(FOLDER, str(tmp_path / "mine"))
    assert use_compile_cache() == tmp_path / "mine"
    assert os.environ[FOLDER] == str(tmp_path / "mine")
    monkeypatch.setenv(FOLDER, "")
    assert use_compile_cache() is None
    assert not home.exists()


def test_a_folder_that_the_user_has_set_and_others_can_write_to_is_not_run_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What lies in it is machine code."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv(FOLDER, str(shared))
    assert use_compile_cache() is None
    assert not os.environ[FOLDER]
    assert "chmod 700" in caplog.text


def test_without_a_place_to_write_the_run_goes_on(home: Path) -> None:
    home.write_text("in the way")
    assert use_compile_cache() is None


def test_the_second_process_takes_what_the_first_compiled_and_says_the_same(home: Path) -> None:
    first = compiled()
    kept = {path: path.stat().st_mtime_ns for path in home.rglob("*-cache")}
    assert kept
    assert compiled().stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*-cache")} == kept


def test_an_entry_that_broke_off_is_compiled_again(home: Path) -> None:
    first = compiled()
    for path in home.rglob("*-cache"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    again = subprocess.run(
        [sys.executable, "-c", COMPILE], env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True
    )
    assert again.stdout == first.stdout


def test_a_python_program_that_uses_jax_already_shares_the_folder_unless_it_has_one(home: Path, tmp_path: Path) -> None:
    used = "import jax; jax.jit(lambda x: x + 1)(1.0)\n"
    assert compiled(used + COMPILE).stdout == compiled().stdout
    kept = {path.name for path in home.rglob("*-cache")}
    assert any(name.startswith("jit__lambda") for name in kept)
    own = f"jax.config.update('jax_compilation_cache_dir', {str(tmp_path / 'own')!r})\n"
    compiled(used + own + COMPILE)
    assert list((tmp_path / "own").glob("jit__lambda*-cache"))
    assert {path.name for path in home.rglob("*-cache")} == kept


def test_a_folder_that_cannot_be_written_to_is_left_alone(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert use_compile_cache() is None
    assert "cannot be written to" in caplog.text
