"""A disk that fills up, becomes read-only or loses bytes: a sentence, or the scan mended, and the cohort as if nothing had been."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from child import run_of
from faulty_disk import break_disk, later
from standin import StandIn
from undisturbed import undisturbed, write_scans, written

from hypojax import execute
from hypojax.reason import Reason, RunError
from hypojax.settings import ClusterSettings, RunSettings

SCANS = 5
SMALL = 3_000_000
"""Bytes of a disk that holds some of the scans: ten take about four million."""

WHERE = [ClusterSettings(), pytest.param(ClusterSettings("local", workers=2), marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scans(tmp_path_factory.mktemp("in"), scans=SCANS)


@pytest.fixture(scope="module")
def undamaged(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An output folder of a run that nothing befell, and what it holds."""
    whole = tmp_path_factory.mktemp("whole")
    return whole, undisturbed(scans, whole)


@pytest.fixture(scope="module")
def expected(undamaged: tuple[Path, dict[str, Any]]) -> dict[str, Any]:
    return undamaged[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of a few megabytes, where the system lets us mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if _mount("-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)) != 0:
        pytest.skip("mounting a small disk needs root on Linux; the same is tested with a simulated disk")
    yield folder
    subprocess.run([which("umount") or "umount", str(folder)], check=True)


def _mount(*options: str) -> int:
    try:
        return subprocess.run([which("mount") or "mount", *options], check=False, capture_output=True).returncode
    except OSError:
        return -1


def records(out: Path) -> dict[str, tuple[int, bytes]]:
    """Scan → its record in the ledger: which file it is, and its bytes; a marker of who was at work is none."""
    entries = (out / "cohort.zarr" / "ledger").glob("*/zarr.json")
    return {path.parent.name: (path.stat().st_ino, data) for path in entries if b'"status"' in (data := path.read_bytes())}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_at_any_file(scans: Path, expected: dict[str, Any], tmp_path: Path, code: int, seed: int) -> None:
    out, after = tmp_path / "out", int(np.random.default_rng(seed).integers(SCANS * 25))
    with pytest.MonkeyPatch.context() as patch:
        break_disk(patch, code, when=later(after))
        with pytest.raises(RunError) as error:
            execute.run([scans], out=out, segmenter=StandIn())
    assert error.value.reason == (Reason.NOT_WRITABLE if code == errno.EROFS else Reason.DISK_FULL)
    before = records(out)
    assert all(b'"failed"' not in data for _, data in before.values())
    outcome = execute.run([scans], out=out, segmenter=StandIn())
    assert (outcome.done, outcome.kept) == (SCANS, len(before))
    assert before.items() <= records(out).items()
    assert written(out) == expected


@pytest.mark.root
@pytest.mark.parametrize("where", WHERE, ids=["here", "local"])
def test_a_disk_that_is_full_really(tmp_path: Path, small_disk: Path, where: ClusterSettings) -> None:
    scans, ballast, out = write_scans(tmp_path / "in", scans=10), small_disk / "ballast", small_disk / "out"
    ballast.write_bytes(bytes(1_500_000))
    with pytest.raises(RunError, match=r"no space|disk is full") as error:
        execute.run([scans], out=out, segmenter=StandIn(), where=where)
    assert error.value.reason == Reason.DISK_FULL
    before = records(out)
    assert 0 < len(before) < 10
    ballast.unlink()
    assert _mount("-o", "remount,size=30000000", str(small_disk)) == 0
    outcome = execute.run([scans], out=out, segmenter=StandIn(), where=where)
    assert (outcome.done, outcome.failed, outcome.kept) == (10, 0, len(before))
    assert before.items() <= records(out).items()
    assert written(out) == undisturbed(scans, tmp_path / "whole")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--cluster", "local", "--workers", "2")], ids=["here", "local"])
def test_a_disk_that_becomes_read_only_really(tmp_path: Path, small_disk: Path, options: tuple[str, ...]) -> None:
    scans, out = write_scans(tmp_path / "in", scans=10), small_disk / "out"
    assert _mount("-o", "remount,size=30000000", str(small_disk)) == 0
    with run_of("--sleep", 0.1, scans, out, *options, log=tmp_path / "log") as child:
        child.until(lambda: len(records(out)) >= 2)
        # A file system with files open for writing cannot be made read-only at once: its locks are such files. A cover can.
        assert _mount("--bind", str(out / "cohort.zarr"), str(out / "cohort.zarr")) == 0
        assert _mount("-o", "remount,bind,ro", str(out / "cohort.zarr")) == 0
        try:
            assert child.end() == 1, child.said
            assert "Read-only file system; choose an output folder that you may write to" in " ".join(child.said.split())
            assert "Traceback" not in child.said
            before = records(out)
            assert execute.status(out).done == len(before)
        finally:
            subprocess.run([which("umount") or "umount", str(out / "cohort.zarr")], check=True)
    outcome = execute.run([scans], out=out, segmenter=StandIn())
    assert (outcome.done, outcome.failed, outcome.kept) == (10, 0, len(before))
    assert written(out) == undisturbed(scans, tmp_path / "whole")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [truncated, flipped, Path.unlink], ids=["truncated", "flipped", "deleted"])
@pytest.mark.parametrize("key", ["native/sub-02/c/0/0/0", "native/sub-02/zarr.json", "labels/sub-02/c/0/0/0/0", "labels/sub-02/zarr.json"])
def test_damage_is_found_and_mended_in_that_scan_alone(
    scans: Path, undamaged: tuple[Path, dict[str, Any]], tmp_path: Path, harm: Callable[[Path], None], key: str
) -> None:
    whole, expected = undamaged
    out = shutil.copytree(whole, tmp_path / "out")
    mend(scans, out, lambda: harm(out / "cohort.zarr" / key), key=key, where=ClusterSettings())
    assert written(out) == expected


@pytest.mark.slow
def test_damage_is_mended_on_a_cluster(scans: Path, undamaged: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    whole, expected = undamaged
    out, key = shutil.copytree(whole, tmp_path / "out"), "native/sub-02/c/0/0/0"
    mend(scans, out, lambda: flipped(out / "cohort.zarr" / key), key=key, where=ClusterSettings("local", workers=2))
    assert written(out) == expected


def mend(scans: Path, out: Path, harm: Callable[[], None], *, key: str, where: ClusterSettings) -> None:
    """Damage an object of one scan, and have it found and mended."""
    before = records(out)
    harm()
    (problem,) = execute.verify(out)
    assert (problem.scan, key in problem.what, "--check" in problem.what) == ("sub-02", True, True)
    assert execute.run([scans], out=out, segmenter=StandIn()).processed == 0  # only a look at every byte finds it
    outcome = execute.run([scans], out=out, settings=RunSettings(check=True), segmenter=StandIn(), where=where)
    assert (outcome.done, outcome.processed, outcome.kept) == (SCANS, 1, SCANS - 1)
    after = records(out)
    assert {scan for scan in after if after[scan] != before[scan]} == {"sub-02"}
