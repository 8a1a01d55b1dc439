"""
Query a cohort as xarray
========================

The folder of a run is one Dataset over ``scan``. The table is in memory; images are read when they are computed.
"""

import matplotlib.pyplot as plt

import hypojax

cohort = hypojax.open_cohort("hypojax-demo/out")
cohort

# %%
# Volumes of one region, by group. ``group`` is a column of the participants table.

cohort.volume_mm3.sel(region="hypothalamus").groupby(cohort.group).mean().to_series().round(1)

# %%
# Left and right of each person:

sides = cohort.volume_mm3.sel(region=["hypothalamus_left", "hypothalamus_right"])
sides.to_pandas().round(1)

# %%
# Scans that carry a flag, and which:

flags = cohort.flagged.to_pandas()
flags.loc[flags.any(axis=1), flags.any(axis=0)]

# %%
# The share of the hypothalamus in the head. Missing volumes stay missing; they are never zero.

share = sides.sum("region", skipna=False) / cohort.volume_mm3.sel(region="icv")
(1e6 * share).groupby(cohort.group).mean().to_series().round(1).rename("mm³ a litre")

# %%
# Each scan as a point, with the mean of its group and the 95 % interval of that mean:

ax = hypojax.plot.volumes(cohort, by="group")
ax.set_title("Hypothalamus by group")
plt.show()
