"""Every kind of bad input, as a user meets it: a typed row or one clear sentence, never a traceback, a lost neighbour or a wrong number."""

import gzip
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from standin import AFFINE, StandIn, write_phantom

from hypojax.cli import main
from hypojax.cohort import open_cohort
from hypojax.phantom import Phantom, render
from hypojax.reason import Reason
from hypojax.release import released_folder
from hypojax.scans import write_nifti
from hypojax.segmenter.segmenter import Segmenter

QUANTISED = 1e-3
"""Relative error of a phantom's soft volume from posteriors stored as bytes."""

DIM, DATATYPE, PIXDIM, VOX_OFFSET, SROW = 40, 70, 76, 108, 280
"""Offsets in a NIfTI-1 header."""


def stored(path: Path) -> bytearray:
    """A sound phantom file, decoded, for a test to spoil."""
    return bytearray(gzip.decompress(write_phantom(path).read_bytes()))


def spoil_header(offset: int, layout: str, *values: float) -> Callable[[Path], None]:
    """Overwrite fields of the header."""

    def spoil(path: Path) -> None:
        data = stored(path)
        struct.pack_into("<" + layout, data, offset, *values)
        path.write_bytes(gzip.compress(bytes(data)))

    return spoil


def truncated(path: Path) -> None:
    data = write_phantom(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flipped_bit(path: Path) -> None:
    data = bytearray(write_phantom(path).read_bytes())
    data[len(data) * 2 // 3] ^= 0x10
    path.write_bytes(data)


def huge_claim(path: Path) -> None:
    """A file of less than a hundred bytes whose header declares 17 GB of voxels."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, DIM, 3, 2048, 2048, 2048, 1, 1, 1, 1)
    struct.pack_into("<2h", header, DATATYPE, 4, 16)
    struct.pack_into("<4f", header, PIXDIM, 1, 1, 1, 1)
    struct.pack_into("<f", header, VOX_OFFSET, 352)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header)))
    assert path.stat().st_size < 100


def image(voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Callable[[Path], None]:
    """A file that nibabel writes without complaint."""
    return lambda path: nib.save(nib.Nifti1Image(voxels, affine), path)


RGB = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
RAMP = np.arange(64, dtype=np.float32).reshape(4, 4, 4)

BAD: dict[str, tuple[Callable[[Path], object], set[Reason]]] = {
    "truncated": (truncated, {Reason.TRUNCATED}),
    "flipped": (flipped_bit, {Reason.CORRUPTED, Reason.TRUNCATED}),
    "huge": (huge_claim, {Reason.TOO_LARGE}),
    "nan_affine": (spoil_header(SROW, "f", float("nan")), {Reason.AFFINE_NOT_FINITE}),
    "singular": (spoil_header(SROW, "12f", *([0.0] * 12)), {Reason.AFFINE_SINGULAR}),
    "zero_dimension": (spoil_header(DIM, "4h", 3, 38, 0, 38), {Reason.ZERO_DIMENSION}),
    "many_volumes": (image(np.stack([RAMP, RAMP], axis=-1)), {Reason.NOT_3D}),
    "complex": (image(RAMP.astype(np.complex64)), {Reason.UNSUPPORTED_DTYPE}),
    "rgb": (image(RGB), {Reason.UNSUPPORTED_DTYPE}),
    "constant": (image(np.full((8, 8, 8), 7, np.int16)), {Reason.CONSTANT_IMAGE}),
    "all_nan": (image(np.full((8, 8, 8), np.nan, np.float32)), {Reason.NO_FINITE_VOXELS}),
    "empty": (lambda path: path.write_bytes(b""), {Reason.EMPTY_FILE}),
    "text": (lambda path: path.write_text("this is not an image\n" * 40), {Reason.NOT_AN_IMAGE}),
    "unreadable": (lambda path: path.symlink_to(path.with_name("nowhere")), {Reason.UNREADABLE}),
}
"""Name of a bad scan → how it is made, and the reasons that fit."""


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    standin = StandIn()
    monkeypatch.setattr(Segmenter, "load", lambda weights=None, *, ensemble=False, batch=1: standin)
    return standin


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return write_phantom(tmp_path / "in" / "good.nii.gz").parent


def refused(arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A run that must not start or go on says why in one sentence."""
    assert main(arguments) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown.count("error: ") == 1
    assert reason in shown


def test_each_bad_scan_fails_alone_with_its_reason(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    for name in ("aaa", "zzz"):
        write_phantom(folder / f"{name}.nii.gz")
    for name, (make, _) in BAD.items():
        make(folder / f"{name}.nii.gz")
    assert main(["run", str(folder), str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err + shown.out
    cohort = open_cohort(tmp_path / "out")
    rows = {str(scan): cohort.sel(scan=scan) for scan in cohort.scan.values}
    assert set(rows) == {"aaa", "zzz", *BAD}
    for name, (_, reasons) in BAD.items():
        assert str(rows[name].reason.item()) in reasons, name
        assert rows[name].status.item() == "failed"
        assert rows[name].volume_mm3.isnull().all()
        assert f"scan {name!r}: " in rows[name].message.item()
    for name in ("aaa", "zzz"):
        assert float(rows[name].volume_mm3.sel(region="hypothalamus")) == pytest.approx(Phantom().volumes["hypothalamus"], rel=QUANTISED)
    assert main(["verify", str(tmp_path / "out")]) == 0


def test_two_files_for_one_scan_of_a_table_stop_before_anything_is_written(
    tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    write_phantom(scans / "again" / "good.nii.gz")
    (scans / "list.tsv").write_text("scan\tpath\ngood\tgood.nii.gz\ngood\tagain/good.nii.gz\n")
    refused(["run", str(scans / "list.tsv"), str(tmp_path / "out")], "two files have the scan id 'good'", capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["nowhere", "in/good.txt"])
def test_input_that_is_not_there(tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    refused(["run", str(tmp_path / missing), str(tmp_path / "out")], "does not exist", capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_scans_says_what_was_seen(tmp_path: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "sub-01_bold.nii.gz").write_bytes(b"")
    refused(["run", str(tmp_path / "in"), str(tmp_path / "out")], "seen: 1 bold", capsys)


def test_missing_weights_stop_before_anything_is_written(tmp_path: Path, scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights").mkdir()
    refused(["run", str(scans), str(tmp_path / "out"), "--weights", str(tmp_path / "weights")], "are missing", capsys)
    assert not (tmp_path / "out").exists()


def test_corrupted_weights_are_refused(tmp_path: Path, scans: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(released_folder(), weights)
    data = bytearray((weights / "head.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (weights / "head.safetensors").write_bytes(data)
    refused(["run", str(scans), str(tmp_path / "out"), "--weights", str(weights)], "SHA-256", capsys)
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(["run", str(scans), str(tmp_path / "file" / "out")], "cannot write", capsys)


def test_an_output_made_with_other_weights(tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["run", str(scans), str(out)]) == 0
    before = written(out)
    network.weights = "others"
    capsys.readouterr()
    refused(["run", str(scans), str(out)], "was 'stand-in' and is now 'others'", capsys)
    assert written(out) == before


def written(out: Path) -> dict[Path, bytes]:
    """All files but locks, which know who was there last."""
    return {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and not path.name.startswith(".hypojax")}


def test_an_output_that_holds_something_else(tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out" / "cohort.zarr").mkdir(parents=True)
    (tmp_path / "out" / "cohort.zarr" / "thesis.docx").write_text("years of work")
    refused(["run", str(scans), str(tmp_path / "out")], "thesis.docx", capsys)


def test_a_full_disk_keeps_what_is_done_and_can_go_on(
    tmp_path: Path, scans: Path, network: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    affine = AFFINE @ np.diag([0.4, 0.4, 0.4, 1])
    large = render(Phantom(noise=50.0), shape=(95, 110, 95), affine=affine)
    write_nifti(scans / "large.nii.gz", large.astype(np.int16), affine)
    arguments = ["run", str(scans), str(tmp_path / "out"), "--read-ahead", "1"]
    with largest_file(700_000):  # more than any object of an ordinary scan, half of the voxels of the large one
        refused(arguments, "no space left on the disk", capsys)
    assert main(["status", str(tmp_path / "out")]) == 2
    assert main(arguments) == 0
    assert sum(network.batches) == 2
    assert main(["verify", str(tmp_path / "out")]) == 0


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A file system on which no file can grow beyond ``size`` bytes, as a full disk or a quota has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
