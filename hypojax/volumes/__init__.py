"""From posteriors to volumes: what belongs to a structure, its label map on the scan's own grid, mm³ and quality.

`measure` is all that other rooms need.
"""

from hypojax.volumes.flags import FLAGS
from hypojax.volumes.measure import Measurement, RegionVolume, measure

__all__ = ["FLAGS", "Measurement", "RegionVolume", "measure"]
