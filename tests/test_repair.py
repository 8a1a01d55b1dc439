"""Damage of any kind, to any file of an output, is named by `verify`; repair, and where scans must be read a run with --check, undo it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from standin import StandIn, write_phantom

from hypojax import execute
from hypojax.cli import main
from hypojax.cohort import open_table
from hypojax.reason import Reason, RunError
from hypojax.settings import RunSettings
from hypojax.store.ledger import read_record

FAST = RunSettings(threads=1)
CHECK = RunSettings(threads=1, check=True)

KINDS = {
    "the index": "cohort.zarr/ledger/zarr.json",
    "a record": "cohort.zarr/ledger/sub-00/zarr.json",
    "the document of a group": "cohort.zarr/native/zarr.json",
    "the document of an array over all scans": "cohort.zarr/posterior/zarr.json",
    "the document of voxels": "cohort.zarr/native/sub-00/zarr.json",
    "voxels": "cohort.zarr/native/sub-00/c/0/0/0",
    "a posterior": "cohort.zarr/posterior/c/0/0/0/0/0",
    "the root of the table": "cohort.zarr/zarr.json",
    "the document of a column": "cohort.zarr/volume_mm3/zarr.json",
    "a column": "cohort.zarr/volume_mm3/c/0/0",
    "a label map": "derivatives/sub-00/anat/sub-00_space-orig_seg-hypothalamus_dseg.nii.gz",
    "a mask": "derivatives/sub-00/anat/sub-00_space-orig_label-ICV_mask.nii.gz",
    "the table as text": "volumes.tsv",
    "the table as Parquet": "volumes.parquet",
}
RECORDED = ("a record", "the document of voxels", "voxels", "a posterior")
"""What only reading the scan again brings back."""


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], None]] = {"flipped": flipped, "cut": cut, "deleted": Path.unlink}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run: ``in`` and ``out``."""
    folder = tmp_path_factory.mktemp("whole")
    write_phantom(folder / "in" / "sub-00_T1w.nii.gz")
    execute.run([folder / "in"], out=folder / "out", settings=FAST, segmenter=StandIn())
    assert execute.verify(folder / "out") == ()
    return folder


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """A copy of its output."""
    return shutil.copytree(whole / "out", tmp_path / "out")


def assert_as_before(out: Path, whole: Path) -> None:
    """Nothing is damaged, and every volume is what it was."""
    assert execute.verify(out) == ()
    found, expected = open_table(out), open_table(whole / "out")
    xr.testing.assert_identical(found.drop_vars("seconds").drop_attrs(), expected.drop_vars("seconds").drop_attrs())


def combinations() -> list[object]:
    """Every kind of file with every kind of damage; a few of them in every run of the tests."""
    quick = {("the index", "flipped"), ("the index", "deleted"), ("a record", "flipped"), ("voxels", "cut"), ("a column", "deleted")}
    quick |= {("the document of an array over all scans", "flipped"), ("a label map", "flipped"), ("the table as text", "cut")}
    pairs = [(kind, damage) for kind in KINDS for damage in DAMAGES]
    return [pair if pair in quick else pytest.param(*pair, marks=pytest.mark.slow) for pair in pairs]


@pytest.mark.parametrize(("kind", "damage"), combinations())
def test_damage_is_named_and_repaired(out: Path, whole: Path, kind: str, damage: str) -> None:
    DAMAGES[damage](out / KINDS[kind])
    assert execute.verify(out)
    left = execute.repair(out).left
    assert bool(left) == (kind in RECORDED), left
    if left:
        assert all("--check" in problem.what or "ledger" in problem.what for problem in left)
        execute.run([whole / "in"], out=out, settings=CHECK, segmenter=StandIn())
    assert_as_before(out, whole)


@pytest.mark.parametrize("kind", ["a label map", "the table as text", "the table as Parquet"])
def test_the_same_run_makes_again_what_lies_beside_the_store(out: Path, whole: Path, kind: str) -> None:
    """No scan is done again for it, and it has the bytes it had."""
    expected = (out / KINDS[kind]).read_bytes()
    DAMAGES["flipped"](out / KINDS[kind])
    network = StandIn()
    execute.run([whole / "in"], out=out, settings=FAST, segmenter=network)
    assert network.batches == []
    assert (out / KINDS[kind]).read_bytes() == expected
    assert_as_before(out, whole)


def test_verification_names_all_that_is_damaged(out: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not stop at the first, not even at the index; and it says what mends each."""
    for kind in ("the index", "voxels", "a column"):
        flipped(out / KINDS[kind])
    found = [problem.what for problem in execute.verify(out)]
    assert any("index" in what and f"run: hypojax repair {out}" in what for what in found)
    assert any("native/sub-00/c" in what and "--check" in what for what in found)
    assert any("the table is damaged" in what for what in found)
    for verb in (["status"], ["export"], ["run", str(whole / "in")]):
        assert main([*verb, str(out)]) == 1
        assert f"hypojax repair {out}" in " ".join(capsys.readouterr().err.split())
    assert main(["verify", str(out)]) == 2
    assert main(["repair", str(out)]) == 2
    assert main(["repair", str(out.parent / "nowhere")]) == 1


def test_what_belongs_to_nothing_is_set_aside(out: Path, whole: Path) -> None:
    """It is named, moved out of the store with its bytes, and the store is as before."""
    keys = (
        "ledger/notes.txt",
        "ledger/sub-00/notes.txt",
        "labels/sub-00/old",
        "native/nobody/zarr.json",
        "head/c/7/0/0/0/0",
        "old_mm3/zarr.json",
    )
    for key in keys:
        (out / "cohort.zarr" / key).parent.mkdir(parents=True, exist_ok=True)
        (out / "cohort.zarr" / key).write_bytes(b"mine")
    (out / "cohort.zarr" / "volume_mm3" / "c" / "0" / "1").write_bytes(b"in a column")
    assert len(execute.verify(out)) >= len(keys) + 1
    assert execute.repair(out).left == ()
    assert {key: (out / "set-aside" / "cohort.zarr" / key).read_bytes() for key in keys} == dict.fromkeys(keys, b"mine")
    assert_as_before(out, whole)


def test_a_store_of_which_no_record_holds_is_said(out: Path) -> None:
    for kind in ("the index", "a record"):
        flipped(out / KINDS[kind])
    with pytest.raises(RunError, match="no record of its ledger holds") as caught:
        execute.repair(out)
    assert caught.value.reason is Reason.STORE_DAMAGED
    assert len(execute.verify(out)) >= 2


def test_there_is_nothing_to_repair(out: Path, whole: Path) -> None:
    assert execute.repair(out) == execute.Repaired((), ())
    record = read_record(out / "cohort.zarr", "sub-00")
    assert record is not None
    assert record["status"] == "done"
    assert_as_before(out, whole)
