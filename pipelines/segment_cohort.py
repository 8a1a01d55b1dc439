"""Segment a cohort step by step with xarray and Dask, on this machine or on a Dask cluster.

    python pipelines/segment_cohort.py bids/ out/
    python pipelines/segment_cohort.py bids/ /shared/out --scheduler tcp://10.0.0.7:8786 --batch 8
    python pipelines/segment_cohort.py s3://bucket/bids s3://bucket/out

Scans → Zarr → lazy Dask preprocessing → jit-compiled U-Nets, sharded over devices → volumes reduced in xarray → Zarr and Parquet. Nothing
is computed before `.compute()`. On a cluster all workers must see OUT under the same name, as they do in a bucket. The volumes are those of
`hypojax run`, which also resumes after any fault and writes label maps: docs/how-a-scan-travels.md says why there are two ways.
"""

import argparse
from contextlib import nullcontext

from distributed import Client
from zarr.storage import ObjectStore

import hypojax
from hypojax.storage import connection, locate, place


def main(inputs: list[str], out: str, *, scheduler: str | None, batch: int, ensemble: bool) -> None:
    """From image files to a table of volumes."""
    hypojax.ingest(inputs, out)  # scans → Zarr
    cohort = hypojax.open_cohort(out)  # one row a scan, also those that could not be read
    heads = hypojax.preprocess_cohort(cohort, out, batch=batch)  # lazy Dask arrays over scan
    posteriors = hypojax.segment_cohort(heads, ensemble=ensemble)  # U-Nets, compiled once a process
    volumes = hypojax.measure_cohort(posteriors)  # volume_mm3 (scan, region), lazily too
    with Client(scheduler) if scheduler else nullcontext():
        table = volumes.compute()
    store = locate(out) / "volumes.zarr"
    bucket = connection(store)  # None where OUT is a folder of a disk
    table.to_zarr(ObjectStore(bucket) if bucket else str(store), mode="w", consolidated=False)
    frame = table[["volume_mm3", "uncertainty_mm3", "missing_reason"]].to_dataframe()
    place(locate(out) / "pipeline.parquet", frame.reset_index().to_parquet())
    print(table["volume_mm3"].groupby("dataset").median().to_pandas().round().T)
    print(*table["message"].values[table["status"].values == "failed"], sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Segment a cohort step by step with xarray and Dask.")
    parser.add_argument("inputs", nargs="+", help="BIDS datasets, folders, image files or tables")
    parser.add_argument("out", help="folder of results, or its URL")
    parser.add_argument("--scheduler", help="address of a Dask scheduler; threads of this process when left out")
    parser.add_argument("--batch", type=int, default=4, help="scans that are segmented together")
    parser.add_argument("--ensemble", action="store_true", help="mean of the five cross-validation networks")
    main(**vars(parser.parse_args()))
