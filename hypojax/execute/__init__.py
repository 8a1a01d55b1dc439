"""From inputs to a finished cohort: the stages of a run, the pipeline of one scan, and how it ended.

| file | what it has |
|---|---|
| `stages` | `run`, `ingest`, `segment_store`, `export`, `status`: the stages of a run, all together and each alone |
| `inputs`, `output`, `lock` | the scans of a run, its output folder, and who may write there |
| `todo`, `job` | what is left to do, and one run over it, here or on a cluster |
| `pipeline` | the way of one scan, from its file to its ledger record |
| `readahead`, `measured`, `outcome` | the threads of a pipeline, what is kept of a scan, and what became of it |
| `cluster`, `dispatch`, `worker` | Dask clusters, the client's side of a run there, and the worker's |
| `blocks` | a cohort as lazy Dask blocks: the same functions as an xarray pipeline |
| `single` | one scan, with nothing written |
| `machine`, `budget` | networks, versions, memory and disk of this machine |
| `calibration`, `costs`, `projection` | what a run will take: a short trial, a fit, a plan |
| `participants` | the scans of chosen people in a run of their own, and the cohort of all of them: the two levels of a BIDS-App |
| `integrity`, `membership` | files beside the store checked and made again; scans removed, cohorts merged |
| `deploy` | recipes for SLURM, Kubernetes and TPU hosts |
"""

from hypojax.execute.calibration import Calibration
from hypojax.execute.costs import Workers
from hypojax.execute.integrity import Repaired, repair, verify
from hypojax.execute.lock import ChosenScans, Shard, parse_shard
from hypojax.execute.machine import Info, info, load_segmenter
from hypojax.execute.membership import Holding, holdings, merge, remove
from hypojax.execute.outcome import Callback, Outcome, ScanResult
from hypojax.execute.participants import Chosen, choose, conclude_group, describe_output
from hypojax.execute.pipeline import Segments
from hypojax.execute.projection import Plan, plan
from hypojax.execute.single import segment
from hypojax.execute.stages import export, follow, ingest, run, segment_store, status

__all__ = [
    "Calibration",
    "Callback",
    "Chosen",
    "ChosenScans",
    "Holding",
    "Info",
    "Outcome",
    "Plan",
    "Repaired",
    "ScanResult",
    "Segments",
    "Shard",
    "Workers",
    "choose",
    "conclude_group",
    "describe_output",
    "export",
    "follow",
    "holdings",
    "info",
    "ingest",
    "load_segmenter",
    "merge",
    "parse_shard",
    "plan",
    "remove",
    "repair",
    "run",
    "segment",
    "segment_store",
    "status",
    "verify",
]
