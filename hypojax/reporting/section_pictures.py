"""Pictures of sections through the hypothalamus of a scan: grey WebP, outlines of the subunits over them as SVG.

Drawn from the 1 mm box of the cohort (`hypojax.plot.sections`, which says how what is drawn here relates to the label map of the scan).
"""

import base64
from collections.abc import Iterable, Mapping
from functools import cache
from io import BytesIO
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from hypojax.plot.sections import PLANES, SIDES, Section, distance_title, moved
from hypojax.reason import HypojaxError, Reason, ScanError
from hypojax.reporting.scan_images import ScanImages
from hypojax.schema import LABELS

SCALE: Final = 4
"""Pixels a millimetre: as smooth enlarging leaves nothing finer to see, a browser enlarges the rest."""

QUALITY: Final = 78
"""Of WebP: sections of 40 mm take 2 kB."""

INSET: Final = 0.4
"""Pixels that an outline lies inside its structure, so that those of two that touch lie side by side."""

TOWARDS: Final[dict[str, tuple[str, str]]] = {
    "coronal": ("in front of", "behind"),
    "sagittal": ("to the right of", "to the left of"),
    "axial": ("above", "below"),
}
"""Where a section with a distance above and below zero lies, seen from the middle of the hypothalamus."""


class GreyPicture(NamedTuple):
    """A grey WebP, and its pixels."""

    image: bytes
    width: int
    height: int

    @property
    def source(self) -> str:
        """The image as the ``src`` of an ``img``."""
        return f"data:image/webp;base64,{base64.b64encode(self.image).decode()}"


class SectionPicture(NamedTuple):
    """A picture of one section, and what is drawn over it.

    Parameters
    ----------
    title
        Where it lies, seen from the middle of the hypothalamus: ``+6 mm``, + to the front, to the right, upwards.
    image
        Grey WebP.
    width, height
        Its pixels, which are the units of ``outlines``.
    outlines
        SVG elements: paths of the classes ``outline subunit-N`` (1 to 10, as in a label map) or ``outline icv``.
    alt
        What the picture shows, in a sentence.
    sides
        Letters of the left and the right edge (``L``, ``R``), which the page writes.
    millimetre
        Pixels of a millimetre.
    """

    title: str
    image: bytes
    width: int
    height: int
    outlines: str
    alt: str
    sides: tuple[str, str]
    millimetre: float

    @property
    def source(self) -> str:
        """The image as the ``src`` of an ``img``."""
        return GreyPicture(self.image, self.width, self.height).source


def scan_sections(images: ScanImages) -> Mapping[str, list[SectionPicture]]:
    """Pictures of all sections through the hypothalamus of a scan, one a millimetre.

    Parameters
    ----------
    images
        Of the scan.

    Returns
    -------
    ``coronal`` (front to back), ``sagittal`` (left to right) and ``axial`` (top to bottom); nothing where the scan has no posterior,
    which ``images.missing`` explains.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    try:
        box = images.box
    except ScanError:
        return {}
    return {plane: [section_picture(section, box.window) for section in box.sections(plane)] for plane in PLANES} if box else {}


def encoded(image: Float32[np.ndarray, "rows columns"], window: tuple[float, float], *, scale: int) -> GreyPicture:
    """Intensities between black and white as a grey WebP, enlarged smoothly ``scale`` times.

    Raises
    ------
    HypojaxError
        USAGE: the extra ``report`` is not installed.
    """
    low, high = window
    large = enlarged(np.clip((image - low) * (255 / (high - low)), 0, 255).astype(np.float32), scale)
    file = BytesIO()
    _pillow().fromarray(np.clip(np.rint(large), 0, 255).astype(np.uint8)).save(file, "WEBP", quality=QUALITY, method=1)
    return GreyPicture(file.getvalue(), large.shape[1], large.shape[0])


def enlarged(values: Float32[np.ndarray, "rows columns"], scale: int) -> Float32[np.ndarray, "large_rows large_columns"]:
    """Values enlarged smoothly (cubic)."""
    image = _pillow()
    rows, columns = values.shape
    large = image.fromarray(np.ascontiguousarray(values)).resize((columns * scale, rows * scale), image.Resampling.BICUBIC)
    return np.asarray(large, np.float32)


def _pillow() -> ModuleType:
    """Pillow, for images."""
    try:
        from PIL import Image
    except ImportError as error:
        raise HypojaxError(Reason.USAGE, "pictures need Pillow; run: python -m pip install 'hypojax[report]'") from error
    return Image


def svg_path(lines: Iterable[Float64[np.ndarray, "_ 2"]], kind: str, *, inset: float = INSET) -> str:
    """Closed lines (column, row; pixels) as one SVG path of the class ``outline`` and ``kind``; nothing without lines."""
    data = "".join(_closed(moved(line, inset)) for line in lines)
    return f'<path class="outline {kind}" d="{data}"/>' if data else ""


def place_words(plane: str, offset: int) -> str:
    """Where a section lies, mm.

    >>> place_words("coronal", -3)
    '3 mm behind the middle of the hypothalamus'
    """
    after, before = TOWARDS[plane]
    return (
        f"{abs(offset)} mm {after if offset > 0 else before} the middle of the hypothalamus"
        if offset
        else "through the middle of the hypothalamus"
    )


def section_picture(section: Section, window: tuple[float, float]) -> SectionPicture:
    """A section as WebP and SVG; ``window``: intensities that are black and white."""
    picture = encoded(section.image, window, scale=SCALE)
    lines: dict[int, list[Float64[np.ndarray, "_ 2"]]] = {}
    for label, points in section.outlines:
        lines.setdefault(label, []).append(points * SCALE)
    paths = "".join(svg_path(found, f"subunit-{label}") for label, found in lines.items())
    names = ", ".join(LABELS[label].replace("_", " ") for label in lines)
    alt = f"{section.plane.capitalize()} section {place_words(section.plane, section.offset)}, with the outlines of: {names}"
    return SectionPicture(distance_title(section.offset), *picture, paths, alt, SIDES[section.plane], float(SCALE))


def _closed(points: Float64[np.ndarray, "n 2"]) -> str:
    """A closed path of SVG with tenths of a pixel, each point seen from the one before it.

    >>> _closed(np.array([[1.0, 2.0], [3.5, 2.0], [3.5, 1.96]]))
    'M1 2l2.5 0 0 0z'
    """
    tenths = np.rint(points * 10).astype(int)
    x, y = tenths[0].tolist()
    steps = " ".join(map(_tenth, np.diff(tenths, axis=0).ravel().tolist()))
    return f"M{x / 10:g} {y / 10:g}l{steps}z"


@cache
def _tenth(number: int) -> str:
    """A number of tenths: there are few different ones, since the points of an outline lie close together.

    >>> _tenth(-25), _tenth(0)
    ('-2.5', '0')
    """
    return f"{number / 10:g}"
