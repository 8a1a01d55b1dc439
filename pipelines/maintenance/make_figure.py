"""Draw coronal sections of a scan with what hypojax found in it; the picture of the README is made so from the sample scan.

    python -m pipelines.maintenance.make_figure docs/colin27.png [SCAN]

Takes half a minute cold and needs the extra ``report``.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import hypojax
from hypojax import demonstration as demo
from hypojax.plot import outlines, save


def main(out: Path, scan: Path) -> None:
    """Segment and draw."""
    with TemporaryDirectory() as folder:
        hypojax.run(scan, folder)
        cohort = hypojax.open_cohort(folder)
        name = str(cohort["scan"].item())
        save(outlines(cohort, name), out)
        volumes = cohort["volume_mm3"].sel(scan=name, region=["icv", "hypothalamus"]).values
    print(f"{out}: intracranial {volumes[0] / 1e3:.0f} mL, hypothalamus {volumes[1]:.0f} mm3")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else demo.sample_scan())
