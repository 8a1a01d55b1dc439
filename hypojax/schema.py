"""Every array and column that hypojax writes: name, dims, dtype, unit and one sentence; and the table of labels.

This is the one place where a name on disk is spelled. Checks, documentation and the attributes of the stored
arrays are made from these objects.
"""

from dataclasses import dataclass
from typing import Any, Final

SUBUNITS: Final = (
    "anterior_inferior",
    "anterior_superior",
    "posterior",
    "inferior_tubular",
    "superior_tubular",
)
"""Subunits of one side in label order (Bocchetta 2015; Billot 2020)."""

LABELS: Final[dict[int, str]] = {
    number + 1: f"{side}_{subunit}"
    for number, (side, subunit) in enumerate((s, u) for s in ("left", "right") for u in SUBUNITS)
}
"""Value in a hypothalamus label map → region; 1–5 left, 6–10 right, 0 background."""

REGIONS: Final = ("icv", "hypothalamus", "hypothalamus_left", "hypothalamus_right", *LABELS.values())
"""Regions of every table, in order: intracranial volume, wholes, then the ten subunits."""

SCORED: Final = ("icv", "hypothalamus")
"""Regions that have a quality score."""

PARTS: Final[dict[str, tuple[int, ...]]] = {
    "hypothalamus": tuple(range(1, 11)),
    "hypothalamus_left": tuple(range(1, 6)),
    "hypothalamus_right": tuple(range(6, 11)),
    **{name: (value,) for value, name in LABELS.items()},
}
"""Region → the label values it is the sum of (``icv`` is a map of its own)."""

MODEL_AXES: Final = ("A", "S", "R")
"""Axes of every model grid: coronal first (posterior→anterior), inferior→superior, left→right."""

MODEL_DIMS: Final = ("anterior", "superior", "right")
"""Names of these axes as xarray dims; coordinates are mm."""

WORLD_AXES: Final = ("right", "anterior", "superior")
"""Labels of dimension ``direction``: the axes x, y and z of the world, which is mm, RAS+."""

HEAD_SHAPE: Final = (112, 112, 96)
HEAD_SPACING: Final = 2.0
"""The whole-head model grid: 224 × 224 × 192 mm."""

LARGEST_POSE_RESIDUAL: Final = 4.0
"""Of ``pose_residual_mm``: a pose that fits worse is not believed. 35 heads as they came, and 64 poses of four heads turned by 30 to 120 degrees
that were found to 1.6 degrees, have 2.6 to 3.6; where heads turned by 75 to 180 degrees were found wrongly it was 4.2 or more."""

BOX_SHAPE: Final = (40, 40, 40)
BOX_SPACING: Final = 1.0
"""The hypothalamus model grid: a box of 40 mm."""


@dataclass(frozen=True)
class Variable:
    """One array on disk.

    Parameters
    ----------
    name
        Name in the Dataset and in the store.
    dims
        Names of its dimensions.
    dtype
        NumPy dtype string; ``str`` stands for variable-length UTF-8.
    units
        Unit as in UDUNITS ("mm3"); "1" for a pure number, "" for text.
    long_name
        A sentence that explains it to somebody who opens the store without hypojax.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    units: str
    long_name: str

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the stored array (``units`` only where there is one)."""
        units = {"units": self.units} if self.units else {}
        return {"long_name": self.long_name, **units}


SCAN: Final = ("scan",)
SCAN_REGION: Final = ("scan", "region")
SCAN_DIRECTION: Final = ("scan", "direction")

FLAGGED: Final = Variable("flagged", ("scan", "flag"), "bool", "", "Whether the scan carries this quality flag; false where it has not been finished")
FLAG_TEXT: Final = Variable("flags", SCAN, "str", "", "Quality flags of a finished scan, separated by spaces; empty when none")
"""The same as one text: in ledger records, TSV and Parquet."""

TABLE: Final = (
    Variable("volume_mm3", SCAN_REGION, "float64", "mm3", "Soft volume: sum of posteriors inside the structure's own support"),
    Variable("volume_hard_mm3", SCAN_REGION, "float64", "mm3", "Hard volume: labelled voxels of the scan's own grid times their volume; as many are drawn as the soft volume amounts to, up to one"),
    Variable("uncertainty_mm3", SCAN_REGION, "float64", "mm3", "Standard deviation of the soft volume, were voxels draws of their posteriors, 2 x 2 x 2 of them drawn together"),
    Variable("missing_reason", SCAN_REGION, "str", "", "Why this region of a finished scan has no volume; empty where it has one"),
    Variable("quality_score", SCAN_REGION, "float64", "1", "Probability that the result is good, 0 to 1: how much size, shape, place and decision look like those of sound results; of the hypothalamus as a whole and of the intracranial volume, missing for other regions and where there is no volume"),
    Variable("status", SCAN, "str", "", "done, failed or pending"),
    Variable("reason", SCAN, "str", "", "Typed reason of a failure; empty otherwise"),
    Variable("message", SCAN, "str", "", "The failure in a sentence, with the next step"),
    FLAGGED,
    Variable("notes", SCAN, "str", "", "What was found in the file that asks for a look, in sentences, with the next step; empty when nothing"),
    Variable("quality_location", SCAN, "float64", "1", "Share of the place posterior of the hypothalamus within 12 mm of the place taken, 0 to 1"),
    Variable("quality_certainty", SCAN, "float64", "1", "Mean posterior of the winning side (hypothalamus or not) in the hypothalamus and its rim, 0.5 to 1"),
    Variable("quality_asymmetry", SCAN, "float64", "1", "(left - right) / (left + right) of the soft hypothalamus volumes"),
    Variable("quality_contrast", SCAN, "float64", "1", "Robust range of the normalised intensities within 20 mm of the hypothalamus"),
    Variable("quality_noise", SCAN, "float64", "1", "Noise standard deviation near the hypothalamus over the standard deviation of the tissue of the head (after Immerkaer 1996)"),
    Variable("t1w_probability", SCAN, "float64", "1", "Probability that the scan is a T1-weighted image of a head, by how bright its tissues are, 0 to 1; missing where the network does not know the template"),
    Variable("extracranial_signal", SCAN, "float64", "1", "Share of voxels 6 to 14 mm outside the intracranial mask, above its centre, that are brighter than background"),
    Variable("icv_cut_off", SCAN, "float64", "1", "Share of the intracranial surface that lies on the border of the field of view"),
    Variable("brain_mask_mm3", SCAN, "float64", "mm3", "Volume of what a skull-stripped scan keeps, all voxels but the one value written round it: a proxy of head size, not an intracranial volume; missing for whole heads"),
    Variable("brain_extraction_mm3", SCAN, "float64", "mm3", "Soft volume of the cranium by the border that masks of brain extraction have; icv has that of head label maps. Missing where icv is, and where the network does not know this border"),
    Variable("tilt_deg", SCAN_DIRECTION, "float64", "degree", "Turn of the head about the axes of the scan's world: to the right (nodding), to anterior (ear to shoulder), to superior (shaking the head), applied in this order; missing where the pose was not found"),
    Variable("shift_mm", SCAN_DIRECTION, "float64", "mm", "Where the origin of the template MNI152NLin2009cAsym, close to the anterior commissure, lies in the scan's world (RAS+); missing where the pose was not found"),
    Variable("head_scale", SCAN, "float64", "1", "Size of the head over that of the template, the cube root of the ratio of volumes; missing where the pose was not found"),
    Variable("pose_residual_mm", SCAN, "float64", "mm", "How far the template coordinates that the network gives to voxels lie from the affine fitted to them (weighted root mean square); missing where the network gives none"),
    Variable("nonfinite_voxels", SCAN, "float64", "1", "Voxels of the file that were NaN or infinite, or marks of missing values far beyond all others"),
    Variable("voxel_size_mm", ("scan", "axis"), "float64", "mm", "Voxel edge along each stored axis"),
    Variable("matrix", ("scan", "axis"), "float64", "1", "Voxels along each stored axis"),
    Variable("box_affine", ("scan", "world", "voxel"), "float64", "mm", "Voxel-to-world matrix (RAS+) of the 1 mm box: of posterior and image"),
    Variable("head_affine", ("scan", "world", "voxel"), "float64", "mm", "Voxel-to-world matrix (RAS+) of the 2 mm head grid: of head"),
    Variable("path", SCAN, "str", "", "Input file as given; in volumes.tsv, volumes.parquet and on pages only from the folder of its subject on, or its name"),
    Variable("voxels_checksum", SCAN, "str", "", "Checksum of shape and scaled voxels, whatever the file's format, type or header: equal where the voxels are"),
    Variable("duplicate_of", SCAN, "str", "", "First scan, in order of ids, with the same voxels; empty for that one, and where no other scan has them"),
    Variable("seconds", SCAN, "float64", "s", "Time this scan took, decode to volumes"),
)
"""The table of a cohort, in order. Columns of participants tables join it as variables on ``scan``."""

DATASET: Final = Variable("dataset", SCAN, "str", "", "Dataset: the folder of the BIDS dataset, else of the input, or the name that was chosen; a label of a subject is one person within it only")
"""The coordinate that tells people of the same label apart; it comes before those of participants tables."""

AFFINE: Final = Variable("affine", ("world", "voxel"), "float64", "", "Voxel-to-world matrix: (x, y, z, 1) in mm, RAS+, is affine @ (i, j, k, 1); indices count voxel centres from 0")
VOXELS: Final = Variable("voxels", ("i", "j", "k"), "native", "", "Voxels exactly as stored in the file (integer dtype kept, slope and intercept not applied)")
HYPOTHALAMUS: Final = Variable("hypothalamus", ("i", "j", "k"), "uint8", "", "Hypothalamus labels on the scan's own grid: 1-5 left, 6-10 right, 0 background")
INTRACRANIAL: Final = Variable("intracranial", ("i", "j", "k"), "uint8", "", "Intracranial mask on the scan's own grid")
LABEL_MAPS: Final = Variable("labels", ("map", "i", "j", "k"), "uint8", "", "Label maps on the scan's own grid, in this order: hypothalamus (1-5 left, 6-10 right), intracranial mask")


@dataclass(frozen=True)
class CohortArray(Variable):
    """An array over all scans, one chunk a scan: a row a slot of the store, in the order of the table.

    Parameters
    ----------
    shape
        Lengths of the dims behind ``scan``.
    encoding
        Attributes by which values are decoded, as the CF conventions have them (``scale_factor``, ``_FillValue``) or in words.
    fill
        Value of scans that have no chunk.
    """

    shape: tuple[int, ...] = ()
    encoding: tuple[tuple[str, int | float], ...] = ()
    fill: int = 0

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of the stored array."""
        return {"long_name": self.long_name, "units": self.units, **dict(self.encoding)}


IMAGE_SCALE: Final = 1 / 2048
HEAD_IMAGE_RANGE: Final = (-4.0, 6.0)
"""Least and largest z-score of the head image; what lies beyond is clipped."""

IMAGE_MISSING: Final = -32768
HEAD_DIMS: Final = tuple(f"head_{dim}" for dim in MODEL_DIMS)
HEAD_MAPS: Final = ("image", "posterior")

POSTERIOR: Final = CohortArray(
    "posterior", ("scan", "label", *MODEL_DIMS), "uint8", "1", "Posteriors of the ten subunits in the 1 mm box; 0 throughout for a scan without segmentation (see status)",
    shape=(len(LABELS), *BOX_SHAPE), encoding=(("scale_factor", 1 / 255),),
)
IMAGE: Final = CohortArray(
    "image", ("scan", *MODEL_DIMS), "int16", "1", "The 1 mm box as the network saw it: z-scored intensities",
    shape=BOX_SHAPE, encoding=(("scale_factor", IMAGE_SCALE), ("_FillValue", IMAGE_MISSING)), fill=IMAGE_MISSING,
)
HEAD: Final = CohortArray(
    "head", ("scan", "map", *HEAD_DIMS), "uint8", "1",
    "The head on the 2 mm grid: z-scored intensities (value * image_scale + image_offset, clipped) and the intracranial posterior (value * posterior_scale); 0 throughout for a scan without segmentation (see status)",
    shape=(len(HEAD_MAPS), *HEAD_SHAPE),
    encoding=(("image_scale", (HEAD_IMAGE_RANGE[1] - HEAD_IMAGE_RANGE[0]) / 255), ("image_offset", HEAD_IMAGE_RANGE[0]), ("posterior_scale", 1 / 255)),
)
COHORT_ARRAYS: Final = (POSTERIOR, IMAGE, HEAD)
"""The arrays over all scans, in the order they are shown. A scan's place in the world is its ``box_affine`` or ``head_affine`` in the table."""
