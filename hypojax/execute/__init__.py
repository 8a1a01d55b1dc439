"""From inputs to a finished cohort on one machine: the stages of a run, the pipeline of one scan, and how it ended."""

from hypojax.execute.calibration import Calibration
from hypojax.execute.costs import Workers
from hypojax.execute.integrity import Repaired, repair, verify
from hypojax.execute.lock import Shard, parse_shard
from hypojax.execute.machine import Info, info, load_segmenter
from hypojax.execute.membership import Holding, holdings, merge, remove
from hypojax.execute.outcome import Callback, Outcome, ScanResult
from hypojax.execute.pipeline import Segments
from hypojax.execute.projection import Plan, plan
from hypojax.execute.single import segment
from hypojax.execute.stages import export, follow, ingest, run, segment_store, status

__all__ = [
    "Calibration",
    "Callback",
    "Holding",
    "Info",
    "Outcome",
    "Plan",
    "Repaired",
    "ScanResult",
    "Segments",
    "Shard",
    "Workers",
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
