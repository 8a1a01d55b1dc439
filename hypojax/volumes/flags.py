"""Quality flags: every name, what it says, and the limit it is raised at.

A flag asks somebody to look; it takes nothing away. What makes a volume missing stands in `hypojax.volumes.measure`.
"""

from collections.abc import Mapping
from typing import Final

LOWEST_SCORE: Final = 0.5
"""Of `quality_score`: good and bad results count alike in its fit, so that below one half bad is the likelier of the two."""

LOWEST_CERTAINTY: Final = 0.70
"""Of `quality_certainty`; the automatic label maps of 42 scans lie between 0.86 and 0.90, networks early in training at 0.78."""

LOWEST_LOCATION: Final = 0.3
"""Of `quality_location`: below it the place posterior is spread over the head."""

LARGEST_ASYMMETRY: Final = 0.15
"""Of `quality_asymmetry` either way; those label maps lie between -0.05 and 0.08 with a standard deviation of 0.027."""

LOWEST_CONTRAST: Final = 2.0
"""Of `quality_contrast`, in standard deviations of the head's tissue; 39 real scans lie between 4.6 and 8.5."""

HIGHEST_NOISE: Final = 0.8
"""Of `quality_noise`, in standard deviations of the head's tissue. Scans in 1 mm voxels lie between 0.03 and 0.19; in 2 mm
voxels fine anatomy alone reads 0.4 to 0.6, and grey and white matter differ by about two."""

THICKEST_VOXEL: Final = 2.0
"""Longest voxel edge, mm: beyond it the hypothalamus, 10 mm high, is fewer than five voxels along that axis."""

USUAL_HYPOTHALAMUS: Final = (300.0, 1500.0)
"""Soft volume, mm³; the label maps lie between 583 and 1167, and published protocols between 700 and 1500 on average."""

USUAL_ICV: Final = (1_000_000.0, 2_200_000.0)
"""Soft intracranial volume, mm³: adults of population studies, with a margin for small children and large heads."""

FLAGS: Final[dict[str, str]] = {
    "low_quality_score": f"size, shape or parts of the hypothalamus are unlike those of sound results (quality_score below {LOWEST_SCORE})",
    "uncertain": f"the posteriors of the hypothalamus are undecided (quality_certainty below {LOWEST_CERTAINTY})",
    "not_located": f"the head network is unsure where the hypothalamus lies (quality_location below {LOWEST_LOCATION})",
    "orientation_assumed": "the file does not say which way its axes run: left and right may be exchanged",
    "orientation_conflict": "sform and qform of the file contradict each other (the sform counts): left and right may be exchanged",
    "template_space": "the file says that it lies in a template's space: its volumes are those after registration, not of the head",
    "voxel_size_conflict": "the file gives two voxel sizes (see notes; the sform counts): volumes are wrong if the other is right",
    "voxel_size_unlike_others": "the other scans of its dataset with the same matrix have another voxel size (see notes)",
    "icv_unlike_others": "its intracranial volume lies far from those of the other scans of its dataset (see notes)",
    "asymmetric": f"left and right hypothalamus differ by more than {LARGEST_ASYMMETRY:.0%} of their sum",
    "low_contrast": f"little contrast near the hypothalamus (quality_contrast below {LOWEST_CONTRAST})",
    "noisy": f"much noise near the hypothalamus (quality_noise above {HIGHEST_NOISE})",
    "thick_voxels": f"a voxel edge is longer than {THICKEST_VOXEL} mm",
    "skull_stripped": "no scalp round the brain: the intracranial volume is missing",
    "icv_cut_off": "the field of view cuts the intracranial volume: it is missing",
    "hypothalamus_cut_off": "the field of view cuts the hypothalamus: its volumes are missing",
    "partly_blank": "a part of the head is blank, or without any signal: the intracranial volume is missing",
    "blank_near_hypothalamus": "voxels in or next to the hypothalamus are blank: its volumes are missing",
    "nonfinite_near_hypothalamus": "voxels in or next to the hypothalamus are NaN or infinite: its volumes are missing",
    "noise_outside_head": "noise as bright as tissue stood outside the head, as in MP2RAGE, and was taken out: look before you believe it",
    "one_side": "only one side of the hypothalamus was found",
    "unusual_hypothalamus": f"whole hypothalamus outside {USUAL_HYPOTHALAMUS[0]:.0f} to {USUAL_HYPOTHALAMUS[1]:.0f} mm3",
    "unusual_icv": f"intracranial volume outside {USUAL_ICV[0] / 1e6} to {USUAL_ICV[1] / 1e6} litres",
}
"""Name of a flag → what it says."""


def image_flags(quality: Mapping[str, float], *, longest_edge: float) -> tuple[str, ...]:
    """Flags that quality measures raise, in the order of `FLAGS`; ``longest_edge`` of a voxel in mm, to a micrometre.

    >>> good = {"quality_score": 0.9, "quality_location": 0.9, "quality_certainty": 0.9, "quality_asymmetry": 0.0}
    >>> good = good | {"quality_contrast": 3.0, "quality_noise": 0.1}
    >>> image_flags(good, longest_edge=1.0), image_flags(good | {"quality_certainty": 0.6}, longest_edge=1.0)
    ((), ('uncertain',))
    """
    raised = {
        "low_quality_score": quality["quality_score"] < LOWEST_SCORE,
        "uncertain": quality["quality_certainty"] < LOWEST_CERTAINTY,
        "not_located": quality["quality_location"] < LOWEST_LOCATION,
        "asymmetric": abs(quality["quality_asymmetry"]) > LARGEST_ASYMMETRY,
        "low_contrast": quality["quality_contrast"] < LOWEST_CONTRAST,
        "noisy": quality["quality_noise"] > HIGHEST_NOISE,
        "thick_voxels": round(longest_edge, 3) > THICKEST_VOXEL,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def volume_flags(volumes: Mapping[str, float]) -> tuple[str, ...]:
    """Flags that soft volumes (region → mm³, missing regions left out) raise.

    >>> volume_flags({"icv": 1.4e6, "hypothalamus": 90.0})
    ('unusual_hypothalamus',)
    """
    usual = {"hypothalamus": USUAL_HYPOTHALAMUS, "icv": USUAL_ICV}
    return tuple(f"unusual_{region}" for region, (low, high) in usual.items() if region in volumes and not low <= volumes[region] <= high)
