"""How a published brain-extraction network agrees with DLICV on the scans that our intracranial volume is held against.

    python -m pip install deepbet==1.0.2 && python -m pipelines.maintenance.compare_deepbet DATA

Prints what `references.py` has under ``DEEPBET``. Needs an environment of its own, as `label_heads.py` does; half a minute
a scan on one core.
"""

import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from deepbet.bet import BrainExtraction


def mask(path: Path) -> tuple[np.ndarray, float]:
    """What a file marks, and the size of its voxels, mm³."""
    image = nibabel.Nifti1Image.from_filename(path)
    return np.asarray(image.dataobj) > 0, abs(float(np.linalg.det(image.affine[:3, :3])))


def main(data: Path) -> None:
    """Segment every scan and print Dice, correlation, ratio of volumes and its scatter."""
    network, rows = BrainExtraction(no_gpu=True), []
    for path in sorted((data / "icv_reference").glob("*_T1w.nii.gz")):
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "mask.nii.gz"
            network.run(str(path), mask_path=str(found))
            (ours, voxel), (theirs, _) = mask(found), mask(Path(str(path).replace("_T1w", "_dlmuse")))
        rows.append((2 * (ours & theirs).sum() / (ours.sum() + theirs.sum()), ours.sum() * voxel / 1e3, theirs.sum() * voxel / 1e3))
        print(path.name, "Dice {:.3f}, {:.0f} mL, DLICV {:.0f} mL".format(*rows[-1]), flush=True)
    overlap, volumes, references = np.array(rows).T
    ratio = volumes / references
    print(f"Dice {overlap.mean():.3f}, correlation {np.corrcoef(volumes, references)[0, 1]:.3f}, ", end="")
    print(f"volume {ratio.mean() - 1:+.1%}, scatter {ratio.std(ddof=1) / ratio.mean():.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
