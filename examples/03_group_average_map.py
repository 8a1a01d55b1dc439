"""
A group's average probability map, lazily
=========================================

Posteriors of all scans lie on one grid, in the pose of the model. So a mean over people is one line, and Dask reads one scan at a
time.
"""

import matplotlib.pyplot as plt

import hypojax

cohort = hypojax.open_cohort("hypojax-demo/out")
posterior = cohort.posterior.sel(region="hypothalamus")
posterior.data

# %%
# Nothing is read yet. The mean of each group is a graph of work, too:

average = posterior.groupby(cohort.group).mean("scan")
average.chunksizes["group"]

# %%
# Now it is computed. In the second group the hypothalamus was made 20 % smaller, and the map shows where.

average = average.compute()
figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), sharey=True, layout="constrained")
for ax, group in zip(axes, average.group.values, strict=True):
    one = average.sel(group=group).sel(anterior=0.5, method="nearest")
    one.plot.imshow(ax=ax, vmin=0, vmax=1, cmap="magma", add_colorbar=False)
    ax.set(title=f"average of group {group}", aspect="equal", xlabel="to the right, mm", ylabel="upwards, mm")
plt.show()

# %%
# The same as outlines on the average image, one row a group:

ax = hypojax.plot.group_maps(cohort, by="group")
ax.figure.suptitle("Average image and probability map of each group")
plt.show()

# %%
# A probability map as a NIfTI image:

hypojax.to_nifti(average.sel(group="smaller")).shape
