"""The cohort store: native voxels, segmentation, ledger and table in one Zarr v3 group. The only room with zarr."""

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
