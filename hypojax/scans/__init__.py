"""Finding scans and reading them safely; the only room with nibabel.

| file | what it has |
|---|---|
| `discovery` | `discover`: the scans of BIDS datasets, folders, files, DICOM series and tables, each under one name |
| `search`, `tree` | the scans of a folder, and which folders a search leaves out |
| `bids`, `bids_tables`, `kind` | names and tables of BIDS, and what a file's name says that it is |
| `found` | `Scan` and `Discovery`: what a search finds |
| `reading` | `read`: header first, then the voxels it declares, then the stream's end with its checksum |
| `header`, `formats`, `disguise` | what a file declares, in NIfTI and MGH, and what can lie in the place of an image |
| `dicom`, `in_memory` | a DICOM series, and a scan that is in memory already |
| `voxels` | `Image`: voxels as stored, and the scaled volume |
| `nifti_file` | writing NIfTI |
"""

from hypojax.scans.discovery import discover
from hypojax.scans.found import Discovery, Scan
from hypojax.scans.nifti_file import nifti_image, write_nifti
from hypojax.scans.reading import read
from hypojax.scans.voxels import Image

__all__ = ["Discovery", "Image", "Scan", "discover", "nifti_image", "read", "write_nifti"]
