"""The sample scan (Colin27), and a cohort with a known answer made from it: what `hypojax demo` runs on."""

from hypojax.demonstration.radial_map import RadialMap, deformed
from hypojax.demonstration.scaled_heads import (
    CENTRE_MM,
    COHORT,
    CORE_MM,
    GROUP_FACTOR,
    RIM_MM,
    Comparison,
    Subject,
    compare,
    deform,
    group_ratio,
    sample_scan,
    write_cohort,
)

__all__ = [
    "CENTRE_MM", "COHORT", "CORE_MM", "GROUP_FACTOR", "RIM_MM", "Comparison", "RadialMap", "Subject", "compare", "deform", "deformed",
    "group_ratio", "sample_scan", "write_cohort",
]  # fmt: skip
