"""Zips of strangers: what no zip of scans has is refused in a sentence, and nothing is written outside of the folder that was given."""

import io
import shutil
import stat
import zipfile
from pathlib import Path

import pytest

from hypojax.app.zip_contents import RATIO, SMALL, UnpackedFile, unpack
from hypojax.reason import HypojaxError, Reason

ROOM = {"most_bytes": 1 << 20, "most_files": 20}


def zipped(folder: Path, files: dict[str, bytes], *, mode: int = 0) -> Path:
    """A zip of files under any names."""
    path = folder / "sent.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr, entry.compress_type = mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path


def unpacked(folder: Path, path: Path, **room: int) -> list[UnpackedFile]:
    """What is taken of a zip."""
    return unpack(path, folder / "into", **{**ROOM, **room})


def outside(folder: Path) -> set[Path]:
    """What lies in a folder, but for where files are unpacked, which is emptied."""
    shutil.rmtree(folder / "into", ignore_errors=True)
    found = set(folder.rglob("*"))
    (folder / "into").mkdir()
    return found


def refusal(folder: Path, path: Path, **room: int) -> HypojaxError:
    """How a zip is refused; nothing lies outside of the folder then."""
    before = outside(folder)
    with pytest.raises(HypojaxError) as caught:
        unpacked(folder, path, **room)
    assert outside(folder) == before
    return caught.value


def test_files_get_names_of_our_own_and_litter_is_left_out(tmp_path: Path) -> None:
    sent = {"a/scan.nii": b"1", "__MACOSX/a/._scan.nii": b"x", "a/.DS_Store": b"x", "Größe/日本.nii": b"2"}
    (tmp_path / "into").mkdir()
    found = unpacked(tmp_path, zipped(tmp_path, sent))
    assert [(file.name, file.path.name, file.path.read_bytes()) for file in found] == [
        ("a/scan.nii", "00000", b"1"),
        ("Größe/日本.nii", "00001", b"2"),
    ]


@pytest.mark.parametrize(
    "name", ["../evil.nii", "a/../../evil.nii", "/etc/evil.nii", "C:/evil.nii", "..\\evil.nii", "a\\..\\..\\evil.nii", "\\\\host\\evil.nii"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, zipped(tmp_path, {name: b"1"})).reason == Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    assert "link or a device" in str(refusal(tmp_path, zipped(tmp_path, {"a.nii": b"/etc/passwd"}, mode=kind | 0o777)))


@pytest.mark.parametrize(("one", "two"), [("a.nii", "A.NII"), ("é.nii", "e\u0301.nii"), ("a/b.nii", "a//b.nii"), ("a.nii", "./a.nii")])
def test_a_name_that_a_disk_takes_for_another_is_refused(tmp_path: Path, one: str, two: str) -> None:
    assert "twice" in str(refusal(tmp_path, zipped(tmp_path, {one: b"1", two: b"2"})))


def test_a_zip_within_a_zip_is_refused_by_its_name_and_by_its_content(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.nii", b"1")
    for name in ("inner.zip", "inner.nii"):
        assert "unpack it first" in str(refusal(tmp_path, zipped(tmp_path, {name: inner.getvalue()})))


def test_more_than_allowed_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.nii": bytes(1 << 19), "b.nii": bytes(1 << 19), "c.nii": b"1"})
    assert refusal(tmp_path, path).reason == Reason.TOO_LARGE
    assert "20 are allowed" in str(refusal(tmp_path, zipped(tmp_path, {f"{number}.nii": b"1" for number in range(21)})))


def test_what_files_really_hold_is_counted(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.nii": bytes(SMALL)})
    content = bytearray(path.read_bytes())
    for field in (content.index(b"PK\x03\x04") + 22, content.index(b"PK\x01\x02") + 24):
        assert content[field : field + 4] == SMALL.to_bytes(4, "little")
        content[field : field + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    assert refusal(tmp_path, path, most_bytes=1 << 30).reason in (Reason.CORRUPTED, Reason.TOO_LARGE)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.nii": bytes(SMALL + 1)})
    assert (SMALL + 1) / path.stat().st_size > RATIO
    assert refusal(tmp_path, path, most_bytes=1 << 30).reason == Reason.TOO_LARGE


def test_encrypted_unusual_and_damaged_zips_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"a.nii": b"content of a scan" * 9})
    content = path.read_bytes()
    local, central = content.index(b"PK\x03\x04") + 6, content.index(b"PK\x01\x02") + 8
    for value, said in ((1, "password"), (0x41, "password")):
        path.write_bytes(content[:local] + bytes([value]) + content[local + 1 : central] + bytes([value]) + content[central + 1 :])
        assert said in str(refusal(tmp_path, path))
    for damaged in (content[:40], content[:-30], b"PK\x03\x04" + bytes(50), content.replace(b"a.nii", b"b.nii", 1)):
        path.write_bytes(damaged)
        assert refusal(tmp_path, path).reason == Reason.CORRUPTED
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.nii", b"1")
    assert "not supported" in str(refusal(tmp_path, path))


def test_a_sentence_quotes_no_control_characters(tmp_path: Path) -> None:
    assert str(refusal(tmp_path, zipped(tmp_path, {"../\x1b[31m\u202e.nii": b"1"}))).isprintable()
