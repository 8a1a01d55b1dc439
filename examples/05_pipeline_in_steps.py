"""
The pipeline, step by step
==========================

Scans → Zarr → lazy preprocessing on Dask → compiled U-Nets, split over devices → volumes reduced in xarray → a table. Each step
is a Dataset over ``scan`` that can be looked at and changed. ``pipelines/segment_cohort.py`` is this as a command, also for
clusters and buckets.
"""

import hypojax

# %%
# Scans become one Zarr store. Voxels are kept exactly as they are in the files.

hypojax.ingest("hypojax-demo/bids", "hypojax-demo/steps")
cohort = hypojax.open_cohort("hypojax-demo/steps").isel(scan=slice(0, 2))
cohort.status.to_series()

# %%
# What the first network will see, as a Dask array with one block for each batch:

heads = hypojax.preprocess_cohort(cohort, "hypojax-demo/steps", batch=2)
heads.head_image

# %%
# The networks, and volumes from their posteriors. All of it is a graph of work: nothing was computed so far.

posteriors = hypojax.segment_cohort(heads)
volumes = hypojax.measure_cohort(posteriors)
volumes.volume_mm3

# %%
# One call computes it: in threads here, on a cluster where a ``distributed.Client`` is open.

table = volumes.compute()
table.volume_mm3.sel(region=["icv", "hypothalamus"]).to_pandas().round(1)

# %%
# ``hypojax run`` gives the same volumes, bit for bit, and can continue after any fault:

done = hypojax.open_cohort("hypojax-demo/out").sel(scan=table.scan)
bool((done.volume_mm3 == table.volume_mm3).all())
