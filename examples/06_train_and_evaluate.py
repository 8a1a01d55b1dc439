"""
Train and evaluate on phantoms
==============================

A phantom is a head made of ellipsoids, whose volumes are known exactly. Here a very small network learns from five of them, so
that the whole way is seen in seconds: label maps → examples → training → held-out score. Then label maps are evaluated against
the truth.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import hypojax
from hypojax.phantom import Phantom, render, subunit_coverage
from hypojax.scans import write_nifti
from hypojax.training.train_config import LoopConfig, TrainConfig
from hypojax.training.train_log import read_history
from hypojax.unet_config import UNetConfig

folder = Path(tempfile.mkdtemp(prefix="phantoms-"))
shape, affine = (72, 72, 72), np.diag([1.2, 1.2, 1.2, 1.0])
affine[:3, 3] = -43

# %%
# Five phantoms of different sizes: an image and a label map each.

rows = []
for number, size in enumerate((0.9, 0.95, 1.0, 1.05, 1.1)):
    phantom = Phantom(left=size, right=size, noise=20, seed=number)
    subunits = subunit_coverage(phantom, shape=shape, affine=affine)
    drawn = np.where(subunits.sum(axis=0) >= 0.5, subunits.argmax(axis=0) + 1, 0).astype(np.uint8)
    for kind, voxels in (("T1w", render(phantom, shape=shape, affine=affine)), ("dseg", drawn)):
        path = folder / "truth" / kind / f"sub-{number}_{kind}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(path, voxels, affine, slope=1.0, intercept=0.0)
    rows.append({"name": f"sub-{number}", "image": f"truth/T1w/sub-{number}_T1w.nii.gz", "labels": f"truth/dseg/sub-{number}_dseg.nii.gz"})
pd.DataFrame(rows).to_csv(folder / "scans.tsv", sep="\t", index=False)

# %%
# Examples are boxes round every hypothalamus, and five folds. A fold is held out: the network never sees it.

hypojax.write_examples(folder / "scans.tsv", folder / "examples")
network = UNetConfig(outputs=11, widths=(8,), stem=2)
loop = LoopConfig(network, steps=24, warmup=4, batch=2, learning_rate=5e-3, average=0.9, every=4, validate=24)
result = hypojax.train(TrainConfig("box", loop), examples=folder / "examples", out=folder / "runs", fold=0)[-1]
print(f"{result.step} steps; held-out Dice {result.best.scores['dice']:.3f}")

# %%
# The loss falls. So few steps teach a network what background is, and little else: the held-out Dice above is near 0. For a network that is
# of use take ``hypojax train box``, more scans, and half an hour.

history = read_history(result.folder)
figure, ax = plt.subplots(figsize=(5, 3), layout="constrained")
ax.plot([entry.step for entry in history], [entry.loss for entry in history])
ax.set(title="Loss of the training", xlabel="step", ylabel="loss")
plt.show()

# %%
# Evaluation compares label maps in two folders. Let a rater draw everything one voxel too far to the side:

for path in sorted((folder / "truth" / "dseg").glob("*.nii.gz")):
    (folder / "rater").mkdir(exist_ok=True)
    moved = np.roll(hypojax.scans.read(path.stem, path).voxels, 1, axis=0)
    write_nifti(folder / "rater" / path.name, moved, affine, slope=1.0, intercept=0.0)

found = hypojax.evaluate(folder / "rater", folder / "truth" / "dseg", structure="hypothalamus")
summary = found.summary.sel(region=["hypothalamus", "hypothalamus_left", "left_posterior"]).squeeze("stratum", drop=True)
summary["mean"].sel(metric=["dice", "assd_mm", "relative_volume_error"]).to_pandas().round(3)

# %%
# The volumes are right and the place is wrong: a volume alone would not have shown it, and Dice does.
