"""What ``--json`` prints: one JSON document, made of plain values."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from hypojax.storage import Location

if TYPE_CHECKING:
    from hypojax.execute import Outcome, Plan

WRITTEN: Final = ("cohort.zarr", "volumes.parquet", "volumes.tsv", "derivatives")
"""What a run leaves in OUT."""


def dumped(document: Mapping[str, Any]) -> str:
    r"""A document as JSON, in ASCII: whatever the terminal's encoding, and whatever bytes a file name has.

    >>> dumped({"scans": {"done": 2}, "low": float("nan"), "path": "größe"})
    '{"scans": {"done": 2}, "low": null, "path": "gr\\u00f6\\u00dfe"}'
    """
    return json.dumps(plain(document), allow_nan=False).replace("\x7f", r"\u007f")  # the one unprintable of ASCII that JSON leaves


def plain(value: object) -> Any:  # noqa: ANN401  (whatever JSON has)
    """The same value of types that JSON has; a number that is none, as of a volume that is missing, is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, (bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return str(value)


def of_outcome(outcome: "Outcome", out: Location) -> dict[str, Any]:
    """How a run ended, or how far a cohort is."""
    summary = outcome.summary
    found: dict[str, Any] = {
        "out": out,
        "scans": {"done": outcome.done, "failed": outcome.failed, "waiting": outcome.pending, "kept": outcome.kept},
        "seconds": outcome.seconds,
        "ignored": outcome.ignored,
        "notes": outcome.notes,
        "failures": [{"scan": one.scan, "reason": one.reason, "message": one.message} for one in outcome.failures],
        "paths": {name: out / name for name in WRITTEN if (out / name).exists()},
    }
    if summary is not None:
        found |= {"flags": summary.flags, "missing": summary.missing_reasons, "volumes_mm3": summary.regions}
    return found


def of_plan(plan: "Plan") -> dict[str, Any]:
    """What a run will take."""
    return {
        "fits": plan.fits,
        "scans": {"to_do": len(plan.sizes), "refused": len(plan.refused), "kept": plan.kept},
        "workers": plan.workers.count,
        "seconds": plan.seconds,
        "scan_seconds": plan.scan_seconds,
        "memory_bytes": round(plan.memory_bytes),
        "memory_room": plan.memory_room,
        "disk_bytes": round(plan.disk_bytes),
        "disk_room": plan.disk_room,
        "refused": [{"scan": one.scan, "reason": one.reason, "message": one.message} for one in plan.refused],
        "shortages": plan.shortages,
        "notes": plan.notes,
    }
