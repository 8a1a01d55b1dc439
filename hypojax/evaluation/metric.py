"""What is measured of each pair of label maps: every column of an evaluation, declared once, as `hypojax.schema` does."""

from collections.abc import Mapping
from typing import Final

from hypojax.schema import SCAN, SCAN_REGION, Variable

TOLERANCES: Final = {"nsd_0_5mm": 0.5, "nsd_1mm": 1.0}
"""Column → tolerance of the normalised surface Dice, mm."""

METRICS: Final = (
    Variable("dice", SCAN_REGION, "float64", "1", "Dice coefficient: twice the common volume over the volume of both, 0 to 1"),
    Variable("nsd_0_5mm", SCAN_REGION, "float64", "1", "Normalised surface Dice: share of both surfaces within 0.5 mm of the other"),
    Variable("nsd_1mm", SCAN_REGION, "float64", "1", "Normalised surface Dice: share of both surfaces within 1 mm of the other"),
    Variable("hd95_mm", SCAN_REGION, "float64", "mm", "95 % of either surface lies within it of the other; infinite where one is empty"),
    Variable("assd_mm", SCAN_REGION, "float64", "mm", "Average distance of the surfaces; infinite where one is empty"),
    Variable("volume_similarity", SCAN_REGION, "float64", "1", "One less the difference of the volumes over their sum, 0 to 1"),
    Variable("volume_predicted_mm3", SCAN_REGION, "float64", "mm3", "Volume of the predicted labels, counted on their own grid"),
    Variable("volume_reference_mm3", SCAN_REGION, "float64", "mm3", "Volume of the reference labels, counted on their own grid"),
    Variable("volume_error_mm3", SCAN_REGION, "float64", "mm3", "Predicted less reference volume"),
    Variable("absolute_volume_error_mm3", SCAN_REGION, "float64", "mm3", "Size of the volume error"),
    Variable("relative_volume_error", SCAN_REGION, "float64", "1", "Volume error over reference volume; NaN where only that is empty"),
)
"""Numbers of each scan and region, in order."""

ROWS: Final = (
    Variable("missing_reason", SCAN_REGION, "str", "", "Why this region has no numbers (no_reference: none asked for)"),
    Variable("status", SCAN, "str", "", "done, or failed where any region with a reference could not be scored"),
    Variable("reason", SCAN, "str", "", "Typed reason of a failure; empty otherwise"),
    Variable("message", SCAN, "str", "", "The failure in a sentence, with the next step"),
    Variable("predicted_path", SCAN, "str", "", "Predicted label maps"),
    Variable("reference_path", SCAN, "str", "", "Reference label maps"),
)
"""What became of each pair."""

Scores = Mapping[str, float]
"""Column of `METRICS` → number."""
