"""Draw coronal slices of a scan with what hypojax found in it; the picture of the README is made so from the sample scan.

    python -m pipelines.maintenance.make_figure docs/colin27.png [SCAN]

Takes half a minute cold and needs the extra ``report``.
"""

import sys
from pathlib import Path

import numpy as np

import hypojax
from hypojax import demonstration as demo
from hypojax.pages import coronal_figure
from hypojax.scans import read


def main(out: Path, scan: Path) -> None:
    """Segment and draw."""
    image, found = read(scan.name, scan), hypojax.segment(scan)
    coronal_figure(image.scaled(), image.affine, np.asarray(found.hypothalamus), np.asarray(found.intracranial), out)
    volumes = found.volume_mm3.sel(region=["icv", "hypothalamus"]).values
    print(f"{out}: intracranial {volumes[0] / 1e3:.0f} mL, hypothalamus {volumes[1]:.0f} mm3")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else demo.sample_scan())
