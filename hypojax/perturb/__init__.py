"""Scans changed in a known way: what a volume must not follow, what it must follow, and what spoils a scan.

Every function takes the voxels of a scan (float32, stored orientation) and its affine and gives back both, changed; the
same arguments give the same bytes. One file a kind: where the voxels lie (`geometry`), how bright they are
(`brightness`), what of the head is seen (`view`), how large the hypothalamus is (`shrink`), what ruins a scan (`broken`).
"""

from hypojax.perturb.brightness import biased, brightened_outside, gained, noisy, powered, saturated
from hypojax.perturb.broken import dropped_out, folded, inverted, mirrored_slabs, moved_during, rescaled_header, ringing, smoothed, spiked
from hypojax.perturb.geometry import ORIENTATIONS, Scan, refitted, reoriented, resampled, shifted, thickened, turned, upright
from hypojax.perturb.shrink import RadialMap, deformed
from hypojax.perturb.view import cropped, padded, stripped

__all__ = [
    "ORIENTATIONS",
    "RadialMap",
    "Scan",
    "biased",
    "brightened_outside",
    "cropped",
    "deformed",
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
