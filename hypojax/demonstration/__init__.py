"""The sample scan (Colin27), and a cohort with a known answer made from it: what `hypojax demo` runs on."""

from hypojax.demonstration.radial_map import RadialMap, deformed
from hypojax.demonstration.scaled_heads import (
    CENTRE_MM,
    COHORT,
    CORE_MM,
    GROUP_FACTOR,
    RIM_MM,
    Comparison,
    Demonstration,
    Subject,
    compare,
    deform,
    demo,
    group_ratio,
    sample_scan,
    write_cohort,
)

__all__ = [
    "CENTRE_MM", "COHORT", "CORE_MM", "GROUP_FACTOR", "RIM_MM", "Comparison", "Demonstration", "RadialMap", "Subject", "compare", "deform",
    "deformed", "demo", "group_ratio", "sample_scan", "write_cohort",
]  # fmt: skip
