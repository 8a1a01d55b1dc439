"""Finding scans and reading them safely; the only room with nibabel."""

from hypojax.scans.discover import discover
from hypojax.scans.found import Discovery, Scan
from hypojax.scans.image import Image
from hypojax.scans.read import read
from hypojax.scans.write import write_nifti

__all__ = ["Discovery", "Image", "Scan", "discover", "read", "write_nifti"]
