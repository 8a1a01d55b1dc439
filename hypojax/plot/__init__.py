"""Drawings of scans and cohorts for papers, with matplotlib (extra ``report``).

    cohort = hypojax.open_cohort("out")
    hypojax.plot.outlines(cohort, "sub-01")
    hypojax.plot.volumes(cohort, by="group")
    hypojax.plot.save(hypojax.plot.group_maps(cohort, by="group"), "figures/groups")

Every function draws into the axes that it is given, or into a new figure of pyplot, and returns the axes.
"""

from hypojax.plot.house_style import save
from hypojax.plot.mosaics import group_maps, outlines
from hypojax.plot.volume_points import volumes

__all__ = ["group_maps", "outlines", "save", "volumes"]
