"""Sections through the hypothalamus to move through with a slider: all sections of a plane are sent once, the browser shows one."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from hypojax.app.page_parts import page_part
from hypojax.app.words import Words
from hypojax.schema import SUBUNITS

if TYPE_CHECKING:
    from hypojax.reporting.section_pictures import SectionPicture

PLANES: Final = ("coronal", "sagittal", "axial")
"""In the order of the page."""

EDGES: Final[Mapping[str, tuple[str, str]]] = {"coronal": ("left", "right"), "sagittal": ("back", "front"), "axial": ("left", "right")}
"""What lies at the left and at the right edge of a picture."""

OUTLINED: Final = re.compile(r"subunit-(\d+)")


def sections_html(words: Words, language: str, sections: "Mapping[str, Sequence[SectionPicture]]") -> str:
    """The sections of a scan, a slider a plane that begins in the hypothalamus; a sentence where there are none.

    Parameters
    ----------
    words
        All texts.
    language
        Of who looks.
    sections
        Plane → its pictures (`section_pictures.scan_sections`).

    Returns
    -------
    HTML; ``static/app.js`` moves the sliders.
    """
    planes = [_plane(words, language, plane, sections[plane]) for plane in PLANES if sections.get(plane)]
    names = [(number, f"regions.{name}") for number, name in enumerate(SUBUNITS, 1)]
    return page_part("sections.html", words, language, {"planes": planes, "legend": names})


def millimetres(title: str) -> int:
    """Distance from the middle of the hypothalamus that the title of a section says, mm.

    >>> millimetres("+6 mm"), millimetres("−3 mm"), millimetres("0 mm")
    (6, -3, 0)
    """
    return int(title.removesuffix("mm").strip().replace("−", "-"))


def place_text(words: Words, language: str, plane: str, offset: int) -> str:
    """Where a section lies.

    >>> place_text(Words(), "en", "coronal", -3), place_text(Words(), "de", "axial", 2)
    ('3 mm behind the middle', '2 mm über der Mitte')
    """
    if not offset:
        return words.text("sections.middle", language)
    return words.text(f"sections.{plane}_{'plus' if offset > 0 else 'minus'}", language, mm=abs(offset))


def _plane(words: Words, language: str, plane: str, pictures: "Sequence[SectionPicture]") -> dict[str, Any]:
    """One plane as the template takes it, from the most negative distance on."""
    shown = sorted((_picture(words, language, plane, picture) for picture in pictures), key=lambda one: one["mm"])
    edges = tuple(f"sections.{edge}" for edge in EDGES[plane])
    # The plane between the two sides shows little of either: a sagittal slider begins where most subunits are.
    start = min(shown, key=lambda one: (-one["units"] if plane == "sagittal" else 0, abs(one["mm"])))
    return {"plane": plane, "pictures": shown, "edges": edges, "start": start["mm"], "low": shown[0]["mm"], "high": shown[-1]["mm"]}


def _picture(words: Words, language: str, plane: str, picture: "SectionPicture") -> dict[str, Any]:
    """One section as the template takes it; its outlines are markup of ours, numbers and classes only."""
    offset = millimetres(picture.title)
    place = place_text(words, language, plane, offset)
    units = sorted({(int(number) - 1) % len(SUBUNITS) for number in OUTLINED.findall(picture.outlines)})
    outlined = ", ".join(words.text(f"regions.{SUBUNITS[unit]}", language) for unit in units) or words.text("sections.nothing", language)
    name = words.text(f"sections.{plane}", language)
    return {
        "mm": offset,
        "place": place,
        "units": len(units),
        "alt": words.text("sections.alt", language, plane=name, place=place, outlined=outlined),
        "source": picture.source,
        "width": picture.width,
        "height": picture.height,
        "outlines": Markup(picture.outlines),  # noqa: S704 - numbers and classes only
    }
