"""What can lie in the place of an image: pointers to content that was not fetched, web pages, archives, other formats."""

from typing import Final

from hypojax.reason import HypojaxError, Reason

LOOKED_AT: Final = 512
"""Bytes at the front of a file that say what it is."""

SHOWN: Final = 60
"""Characters of a text that its refusal repeats."""

POINTERS: Final = {
    b"/annex/objects/": ("a git-annex pointer", "datalad get, or git annex get"),
    b"version https://git-lfs": ("a Git LFS pointer", "git lfs pull"),
    b"version https://hawser": ("a Git LFS pointer", "git lfs pull"),
}
"""Text within the first line → what the file is, and the command that fetches what it stands for."""

PACKED: Final = {
    b"\x1f\x8b": ("a file compressed with gzip more than twice", "decompress it until .nii is left"),
    b"BZh": ("a bzip2 file", "decompress it (bunzip2)"),
    b"\xfd7zXZ\0": ("an xz file", "decompress it (xz -d)"),
    b"\x28\xb5\x2f\xfd": ("a Zstandard file", "decompress it (zstd -d)"),
    b"\x04\x22\x4d\x18": ("an LZ4 file", "decompress it (lz4 -d)"),
    b"\x1f\x9d": ("a file compressed with compress (.Z)", "decompress it (uncompress)"),
    b"PK\x03\x04": ("a zip archive", "unpack it (unzip)"),
    b"PK\x05\x06": ("an empty zip archive", "fetch the scan again"),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", "unpack it (7z x)"),
    b"Rar!": ("a RAR archive", "unpack it (unrar x)"),
    b"\x89PNG": ("a PNG picture", "name the scan it was made from"),
    b"\xff\xd8\xff": ("a JPEG picture", "name the scan it was made from"),
    b"II*\0": ("a TIFF picture", "convert it to NIfTI"),
    b"MM\0*": ("a TIFF picture", "convert it to NIfTI"),
    b"%PDF": ("a PDF document", "name the scan itself"),
    b"CDF\x01": ("a netCDF file (MINC 1?)", "convert it to NIfTI (mnc2nii)"),
    b"CDF\x02": ("a netCDF file (MINC 1?)", "convert it to NIfTI (mnc2nii)"),
    b"\x89HDF": ("an HDF5 file (MINC 2?)", "convert it to NIfTI (mnc2nii)"),
    b"NRRD": ("an NRRD file", "convert it to NIfTI"),
    b"ObjectType": ("a MetaImage header", "convert it to NIfTI"),
    b"MATRIX": ("an ECAT file", "convert it to NIfTI"),
    b"# === DATA DESCRIPTION": ("a Philips PAR header", "convert it to NIfTI (dcm2niix)"),
}
"""First bytes → what the file is, and the next step."""

MARKS: Final = {
    (128, b"DICM"): ("a single DICOM file", "name the folder of its series"),
    (257, b"ustar"): ("a tar archive", "unpack it (tar xf)"),
}
"""Bytes further on → the same."""

MARKUP: Final = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--")
"""How web pages begin, in lower case."""


def pointer(start: bytes) -> tuple[str, str] | None:
    """What a small text that stands for content elsewhere is, and what fetches that; None where these first bytes are no such text.

    >>> pointer(b"version https://git-lfs.github.com/spec/v1")
    ('a Git LFS pointer', 'git lfs pull')
    """
    line = start.split(b"\n", 1)[0].replace(b"\\", b"/")
    return next((said for mark, said in POINTERS.items() if mark in line and line.isascii()), None)


def no_image(start: bytes) -> HypojaxError:
    """The refusal of a file that begins with these bytes and is neither NIfTI nor MGH, said as precisely as they allow.

    Parameters
    ----------
    start
        The first `LOOKED_AT` decoded bytes, or all there are.

    Examples
    --------
    >>> str(no_image(b"BZh91AY&SY"))
    'it is a bzip2 file and is neither NIfTI nor MGH; decompress it (bunzip2), or exclude the scan'
    >>> no_image(b"/annex/objects/MD5E-s8388608--0.nii.gz").reason.value
    'unreadable'
    """
    if not start:
        return HypojaxError(Reason.EMPTY_FILE, "it decompresses to nothing (0 bytes); fetch it again or exclude the scan")
    if known := pointer(start):
        what, command = known
        return HypojaxError(Reason.UNREADABLE, f"it is {what} and not the scan itself; fetch its content ({command}) or exclude the scan")
    packed = [said for mark, said in PACKED.items() if start.startswith(mark)]
    packed += [said for (place, mark), said in MARKS.items() if start[place:].startswith(mark)]
    what, step = (f"is {packed[0][0]}", packed[0][1]) if packed else _text(start) or _unknown(start)
    return HypojaxError(Reason.NOT_AN_IMAGE, f"it {what} and is neither NIfTI nor MGH; {step}, or exclude the scan")


def _text(start: bytes) -> tuple[str, str] | None:
    """What a text is, and the next step."""
    if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(MARKUP):
        return "is a web page, as a server sends it in place of a file that needs a login", "fetch the scan again"
    try:
        text = start.decode()
    except UnicodeDecodeError:
        return None
    if not text.strip() or not all(char.isprintable() or char.isspace() for char in text):
        return None
    return f"is text ({' '.join(text.split())[:SHOWN]!r})", "fetch the scan again"


def _unknown(start: bytes) -> tuple[str, str]:
    """The first bytes themselves."""
    if len(start) >= LOOKED_AT and not start.strip(b"\0"):
        return "holds nothing but zero bytes at its front, as after a transfer that broke off", "fetch the file again"
    return f"begins with {start[:4]!r}", "convert it to NIfTI"
