"""How well two segmentations, or two measurements, agree: overlap, surface distances, agreement, bootstrap intervals."""

from hypojax.metrics.agreement import (
    LimitsOfAgreement,
    bland_altman,
    concordance,
    icc21,
    icc31,
    minimal_detectable_change,
    pearson,
    slope,
    within_subject_cv,
    within_subject_sd,
)
from hypojax.metrics.clustered import PairedAgreement, paired_agreement
from hypojax.metrics.interval import Interval
from hypojax.metrics.overlap import absolute_volume_error, dice, relative_volume_error, volume_error, volume_similarity
from hypojax.metrics.resampling import bootstrap, bootstrap_sums
from hypojax.metrics.surface import average_surface_distance, hausdorff95, surface_dice, surface_distances

__all__ = [
    "Interval",
    "LimitsOfAgreement",
    "PairedAgreement",
    "absolute_volume_error",
    "average_surface_distance",
    "bland_altman",
    "bootstrap",
    "bootstrap_sums",
    "concordance",
    "dice",
    "hausdorff95",
    "icc21",
    "icc31",
    "minimal_detectable_change",
    "paired_agreement",
    "pearson",
    "relative_volume_error",
    "slope",
    "surface_dice",
    "surface_distances",
    "volume_error",
    "volume_similarity",
    "within_subject_cv",
    "within_subject_sd",
]
