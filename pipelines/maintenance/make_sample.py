"""Make the sample scan that ships with hypojax from Colin27 as Debian distributes it.

    apt-get download mricron-data && dpkg-deb -x mricron-data_*.deb unpacked
    python -m pipelines.maintenance.make_sample unpacked/usr/share/mricron/templates/ch2.nii.gz

Colin27 (one man, 27 scans averaged, 1 mm) is the one scan that weights are never trained on. Its grey values are halved,
which noise would hide in any single scan, so that the file is a fifth smaller; nothing else is changed. Its notice stands in
``hypojax/demonstration/COPYING``. Takes a second; the same input gives the same bytes.
"""

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from hypojax.demonstration import sample_scan
from hypojax.scans import read, write_nifti
from hypojax.storage import file_digest

SHA256: Final = "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309"
"""Of ch2.nii.gz in mricron-data 1.2.20211006+dfsg-4."""

STEP: Final = 2
"""Grey values of the original to one of the sample."""


def main(source: Path) -> None:
    """Write the sample from ``ch2.nii.gz``."""
    if (found := file_digest(source)) != SHA256:
        raise SystemExit(f"{source} has SHA-256 {found}, expected {SHA256}: take it from mricron-data 1.2.20211006+dfsg-4")
    scan = read("colin27", source)
    voxels = np.round(scan.scaled() / STEP).astype(np.uint8)
    write_nifti(sample_scan(), voxels, scan.affine)
    print(f"{sample_scan()}: {voxels.shape} voxels, {sample_scan().stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the sample scan from ch2.nii.gz of Debian's package mricron-data.")
    parser.add_argument("source", type=Path)
    main(parser.parse_args().source)
