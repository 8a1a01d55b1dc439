"""hypojax: hypothalamus and intracranial volumes of thousands of T1-weighted MRI scans.

The public names below are loaded when they are first used, so that ``import hypojax`` costs nothing.
"""

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hypojax import demonstration, evaluation, matching, metrics, monitoring, phantom, plot, scans, store, study, training
    from hypojax.cohort import open_cohort, open_scan
    from hypojax.cohort.geometry import to_nifti
    from hypojax.demonstration import Demonstration, demo
    from hypojax.evaluation import Evaluation, evaluate
    from hypojax.execute import (
        Callback,
        Holding,
        Info,
        Outcome,
        Plan,
        Repaired,
        ScanResult,
        Shard,
        Workers,
        export,
        info,
        ingest,
        merge,
        plan,
        remove,
        repair,
        run,
        segment,
        segment_store,
        status,
        verify,
    )
    from hypojax.execute.blocks import measure_cohort, preprocess_cohort, segment_cohort
    from hypojax.labelled import write_examples
    from hypojax.monitoring import DriftResult, drift
    from hypojax.preprocessing.lazy import preprocess
    from hypojax.reason import HypojaxError, Reason, RunError, ScanError
    from hypojax.reporting.report_run import ReportResult, report
    from hypojax.reporting.report_settings import ReportSettings
    from hypojax.segmenter import Segmenter
    from hypojax.settings import ClusterSettings, RunSettings
    from hypojax.training import TrainCallback, TrainConfig, TrainResult, train

    __version__: str

_ROOMS: Final = {
    "cohort": ("open_cohort", "open_scan"),
    "cohort.geometry": ("to_nifti",),
    "demonstration": ("Demonstration", "demo"),
    "evaluation": ("Evaluation", "evaluate"),
    "execute": (
        "Callback", "Holding", "Info", "Outcome", "Plan", "Repaired", "ScanResult", "Shard", "Workers",
        "export", "info", "ingest", "merge", "plan", "remove", "repair", "report", "run", "segment", "segment_store", "status", "verify",
    ),
    "execute.blocks": ("measure_cohort", "preprocess_cohort", "segment_cohort"),
    "labelled": ("write_examples",),
    "monitoring": ("DriftResult", "drift"),
    "preprocessing.lazy": ("preprocess",),
    "reason": ("HypojaxError", "Reason", "RunError", "ScanError"),
    "reporting.report_run": ("ReportResult", "report"),
    "reporting.report_settings": ("ReportSettings",),
    "segmenter": ("Segmenter",),
    "settings": ("ClusterSettings", "RunSettings"),
    "training": ("TrainCallback", "TrainConfig", "TrainResult", "train"),
}  # fmt: skip
"""Room → the public names that it holds. No room has the name of a public function, so that neither hides the other."""

_OPEN: Final = (
    "demonstration",
    "evaluation",
    "execute",
    "matching",
    "metrics",
    "monitoring",
    "phantom",
    "plot",
    "scans",
    "store",
    "study",
    "training",
)
"""Rooms that are public as they are, each with functions of its own: ``hypojax.evaluation.compare``."""

_HOME: Final = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Callback", "ClusterSettings", "Demonstration", "DriftResult", "Evaluation", "Holding", "HypojaxError", "Info", "Outcome", "Plan",
    "Reason", "Repaired", "ReportResult", "ReportSettings", "RunError", "RunSettings", "ScanError", "ScanResult", "Segmenter", "Shard",
    "TrainCallback", "TrainConfig", "TrainResult", "Workers", "__version__", "demo", "demonstration", "drift", "evaluate", "evaluation",
    "export", "info", "ingest", "matching", "measure_cohort", "merge", "metrics", "monitoring", "open_cohort", "open_scan", "phantom",
    "plan", "plot", "preprocess", "preprocess_cohort", "remove", "repair", "report", "run", "scans", "segment", "segment_cohort",
    "segment_store", "status", "store", "study", "to_nifti", "train", "training", "verify", "write_examples",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """Load a public name on first use (PEP 562)."""
    if name == "__version__":
        return metadata.version("hypojax")
    if name not in _HOME and name not in _OPEN:
        raise AttributeError(f"module 'hypojax' has no attribute {name!r}")
    from hypojax.segmenter.compile_cache import collector_paused

    with collector_paused():
        return getattr(import_module(f"hypojax.{_HOME[name]}"), name) if name in _HOME else import_module(f"hypojax.{name}")


def __dir__() -> list[str]:
    return __all__
