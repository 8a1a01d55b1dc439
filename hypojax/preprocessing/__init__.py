"""Pure functions of volumes: intensities, foreground, background, conforming; `lazy` has the same as Dask arrays."""
