"""Finding scans and reading them safely; the only room with nibabel."""

from hypojax.scans.discovery import discover
from hypojax.scans.found import Discovery, Scan
from hypojax.scans.nifti_file import nifti_image, write_nifti
from hypojax.scans.reading import read
from hypojax.scans.voxels import Image

__all__ = ["Discovery", "Image", "Scan", "discover", "nifti_image", "read", "write_nifti"]
