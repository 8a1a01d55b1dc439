"""The cohort store: native voxels, segmentation, ledger and table in one Zarr v3 group. The only room with zarr.

| file | what it has |
|---|---|
| `index` | the settings of a store, and every scan that belongs to it, each with its row |
| `arrays` | voxels and label maps, one array a scan |
| `chunks` | arrays over all scans (posteriors, box, head): their templates, and the chunk of one scan |
| `ledger`, `inflight` | one record a scan, written last; and the marker of whoever works on it |
| `root` | the table, written whole from the ledger, and what `xarray.open_zarr` shows |
| `cohort_store` | `CohortStore`: all of these as one object |
| `damage`, `rebuild` | verification, and what can be made again |
| `removal`, `transfer` | scans that leave a store, and scans that come from another |
| `evaluations` | the history of evaluations |
| `sealed` | documents that carry their own checksum |

Other programs read a store as any Zarr v3 group:

>>> cohort = xarray.open_zarr("out/cohort.zarr")  # doctest: +SKIP
>>> cohort.volume_mm3.sel(region="icv")  # doctest: +SKIP
"""

from hypojax.store.arrays import Native, NativeImage, Posterior, StoredSegmentation, limit_threads
from hypojax.store.cohort_store import CohortStore
from hypojax.store.damage import Problem, verify
from hypojax.store.evaluations import append_evaluation, read_evaluations
from hypojax.store.index import ScanEntry, index_of
from hypojax.store.inflight import TakenError
from hypojax.store.ledger import RegionEntry, ScanRecord
from hypojax.store.rebuild import repair
from hypojax.store.root import check_table

__all__ = [
    "CohortStore",
    "Native",
    "NativeImage",
    "Posterior",
    "Problem",
    "RegionEntry",
    "ScanEntry",
    "ScanRecord",
    "StoredSegmentation",
    "TakenError",
    "append_evaluation",
    "check_table",
    "index_of",
    "limit_threads",
    "read_evaluations",
    "repair",
    "verify",
]
