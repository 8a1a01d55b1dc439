"""
Segment one scan
================

One file in, one Dataset out; nothing is written. The networks are loaded at the first call, and a loop keeps them.
"""

import matplotlib.pyplot as plt
import nibabel

import hypojax

path = "hypojax-demo/bids/sub-01/anat/sub-01_T1w.nii.gz"
scan = hypojax.segment(path)

# %%
# The volumes, with their uncertainty, in mm³:

scan[["volume_mm3", "uncertainty_mm3"]].to_dataframe()[["volume_mm3", "uncertainty_mm3"]].round(1)

# %%
# What should be looked at before the numbers are believed:

[str(flag) for flag in scan.flag.values[scan.flagged.values]]

# %%
# Label maps lie on the scan's own voxels. Here is the coronal section with most of the hypothalamus, and its middle enlarged.

labels = scan.hypothalamus
section = int((labels > 0).sum(["i", "k"]).argmax())
voxels = nibabel.load(path).get_fdata()[:, section, :]
drawn = labels.isel(j=section)

middle = [int(drawn[axis].where(drawn > 0).mean()) for axis in "ik"]

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, title in zip(axes, ("sub-01, coronal", "the hypothalamus and its subunits"), strict=True):
    ax.imshow(voxels.T, cmap="gray", origin="lower")
    ax.imshow(drawn.where(drawn > 0).T, cmap="tab10", origin="lower", vmin=1, vmax=10, alpha=0.7)
    ax.set(title=title, xticks=[], yticks=[])
axes[1].set(xlim=(middle[0] - 20, middle[0] + 20), ylim=(middle[1] - 20, middle[1] + 20))
plt.show()

# %%
# A NIfTI image of the label map, for any viewer: ``.to_filename("sub-01_dseg.nii.gz")`` writes it.

hypojax.to_nifti(scan.hypothalamus).shape
