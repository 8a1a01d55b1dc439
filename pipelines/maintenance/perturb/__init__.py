"""Scans changed in a known way: what a volume must not follow, what it must follow, and what spoils a scan.

Every function takes the voxels of a scan (float32, stored orientation) and its affine and gives back both, changed; the
same arguments give the same bytes. One file a kind: where the voxels lie (`geometry`), how bright they are
(`brightness`), what of the head is seen (`view`), what ruins a scan (`broken`).
"""

from pipelines.maintenance.perturb.brightness import biased, brightened_outside, gained, noisy, powered, saturated
from pipelines.maintenance.perturb.broken import (
    dropped_out,
    folded,
    inverted,
    mirrored_slabs,
    moved_during,
    rescaled_header,
    ringing,
    smoothed,
    spiked,
)
from pipelines.maintenance.perturb.geometry import ORIENTATIONS, Scan, reoriented, shifted, thickened, turned
from pipelines.maintenance.perturb.refit import refitted, resampled, upright
from pipelines.maintenance.perturb.view import cropped, padded, stripped

__all__ = [
    "ORIENTATIONS",
    "Scan",
    "biased",
    "brightened_outside",
    "cropped",
    "dropped_out",
    "folded",
    "gained",
    "inverted",
    "mirrored_slabs",
    "moved_during",
    "noisy",
    "padded",
    "powered",
    "refitted",
    "reoriented",
    "resampled",
    "rescaled_header",
    "ringing",
    "saturated",
    "shifted",
    "smoothed",
    "spiked",
    "stripped",
    "thickened",
    "turned",
    "upright",
]
