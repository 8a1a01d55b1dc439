"""The cohort store: native voxels, segmentation, ledger and table in one Zarr v3 group. The only room with zarr."""

from hypojax.store.arrays import Native, NativeImage, Posterior, Segmented
from hypojax.store.claim import TakenError
from hypojax.store.cohort_store import CohortStore
from hypojax.store.history import append_evaluation, read_evaluations
from hypojax.store.index import ScanEntry, index_of
from hypojax.store.ledger import Record, RegionEntry
from hypojax.store.repair import repair
from hypojax.store.table import check_table
from hypojax.store.threads import limit_threads
from hypojax.store.verify import Problem, verify

__all__ = [
    "CohortStore",
    "Native",
    "NativeImage",
    "Posterior",
    "Problem",
    "Record",
    "RegionEntry",
    "ScanEntry",
    "Segmented",
    "TakenError",
    "append_evaluation",
    "check_table",
    "index_of",
    "limit_threads",
    "read_evaluations",
    "repair",
    "verify",
]
