"""What stands in the place of an image is named as what it is, plain or compressed; what is an image all the same is read."""

import bz2
import gzip
import io
import lzma
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_scans import nifti_bytes, noise, put_dicom

from hypojax.execute.budget import size_of
from hypojax.reason import Reason, ScanError
from hypojax.scans import Scan, read

MEGABYTE = 1 << 20


def refused(path: Path) -> ScanError:
    """The error that reading ends in."""
    with pytest.raises(ScanError) as caught:
        read("sub-017", path)
    return caught.value


def zipped(content: bytes) -> bytes:
    """A zip archive with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("scan.nii", content)
    return buffer.getvalue()


def tarred(content: bytes) -> bytes:
    """A tar archive with one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("scan.nii")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


POINTERS = {
    "annex": (b"/annex/objects/MD5E-s8388608--00000000000000000000000000000000.nii.gz\n", "datalad get"),
    "annexed link as text": (b"../../.git/annex/objects/Xx/9q/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz", "datalad get"),
    "annexed link of Windows": (b"..\\..\\.git\\annex\\objects\\Xx\\9q\\MD5E-s9--0.nii.gz", "datalad get"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
}
OTHERS = {
    "web page": (b"\n<!DOCTYPE html>\n<html><head><title>Log in</title></head></html>", "a web page"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "a web page"),
    "json": (b'{"message": "Not Found"}', 'text (\'{"message": "Not Found"}\')'),
    "table": (b"participant_id\tage\nsub-01\t35\n", "text ('participant_id age sub-01 35')"),
    "bzip2": (bz2.compress(nifti_bytes(noise())), "bunzip2"),
    "xz": (lzma.compress(nifti_bytes(noise())), "xz -d"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd -d"),
    "zip": (zipped(nifti_bytes(noise())), "unzip"),
    "tar": (tarred(nifti_bytes(noise())), "tar xf"),
    "dicom": (bytes(128) + b"DICM" + bytes(300), "name the folder of its series"),
    "minc": (b"\x89HDF\r\n\x1a\n" + bytes(100), "mnc2nii"),
    "nrrd": (b"NRRD0004\ntype: short\n", "NRRD"),
    "zeros": (bytes(4096), "nothing but zero bytes"),
    "unknown": (b"\x07\xfe\x81\x92" * 40, "begins with b'\\x07\\xfe\\x81\\x92'"),
}


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.nii", "scan.mgz"])
@pytest.mark.parametrize(("content", "step"), POINTERS.values(), ids=POINTERS)
def test_a_pointer_to_content_that_was_not_fetched_is_named_with_what_fetches_it(
    tmp_path: Path, content: bytes, step: str, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refused(tmp_path / name)
    assert error.reason == Reason.UNREADABLE
    assert "pointer and not the scan itself; fetch its content" in str(error)
    assert step in str(error)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("content", "said"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_image_is_named_as_what_it_is(tmp_path: Path, content: bytes, said: str, *, compressed: bool) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(content) if compressed else content)
    error = refused(tmp_path / "scan.nii.gz")
    assert error.reason == Reason.NOT_AN_IMAGE
    assert said in str(error)
    assert "; " in str(error)


def test_an_image_compressed_twice_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(gzip.compress(nifti_bytes(noise()))))
    np.testing.assert_array_equal(read("twice", path).voxels, noise())
    assert size_of(Scan("twice", path)).file_bytes == path.stat().st_size


def test_nothing_compressed_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b""))
    assert refused(path).reason == Reason.EMPTY_FILE


def test_more_than_twice_is_said(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(gzip.compress(gzip.compress(nifti_bytes(noise())))))
    assert "compressed with gzip more than twice" in str(refused(path))


@pytest.mark.parametrize("inner", [False, True])
def test_damage_in_either_layer_of_an_image_compressed_twice_is_noticed(tmp_path: Path, *, inner: bool) -> None:
    once = bytearray(gzip.compress(nifti_bytes(noise()), mtime=0))
    if inner:
        once[-6] ^= 1  # of its checksum
    twice = bytearray(gzip.compress(bytes(once), mtime=0))
    if not inner:
        twice[-6] ^= 1
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(twice)
    assert refused(path).reason == Reason.CORRUPTED


def test_zeros_compressed_twice_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(gzip.compress(nifti_bytes(noise()) + bytes(100 * MEGABYTE), 1), 9))
    tracemalloc.start()
    try:
        assert refused(path).reason == Reason.CORRUPTED
        assert tracemalloc.get_traced_memory()[1] < 10 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_one_file_of_a_series_is_named_so(tmp_path: Path) -> None:
    put_dicom(tmp_path / "series", noise((4, 4, 2)))
    assert "a single DICOM file" in str(refused(next((tmp_path / "series").iterdir())))
