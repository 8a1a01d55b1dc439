"""Intracranial masks of real whole heads by a published brain-extraction network, for the head network to learn from.

    python -m pip install deepbet==1.0.2 && python -m pipelines.maintenance.label_heads DATA runs/masks

deepbet (Fisch 2024; MIT, weights in its wheel) needs PyTorch and lives in an environment of its own; nothing else here does.
Skull-stripped scans, Colin27 and ``icv_reference`` are left out. About 15 s a scan on two cores.
"""

import sys
from pathlib import Path

from deepbet.bet import BrainExtraction


def main(data: Path, out: Path) -> None:
    """Write one mask a scan, named as its teacher label map."""
    out.mkdir(parents=True, exist_ok=True)
    network = BrainExtraction(no_gpu=True)
    bids = sorted((data / "bids/ds000011").glob("sub-*/anat/*_T1w.nii.gz"))
    for path in [*bids, *sorted((data / "scans").glob("*_T1w.nii.gz"))]:
        source = "scans" if path.parent.name == "scans" else "ds000011"
        name = f"{source}_{path.name.removesuffix('_T1w.nii.gz')}"
        if "colin27" not in name:
            _, _, volume = network.run(str(path), mask_path=str(out / f"{name}.nii.gz"))
            print(name, f"{volume:.0f} mL", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
