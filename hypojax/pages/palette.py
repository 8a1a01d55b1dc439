"""Colours of pages, plots and pictures, declared once: safe with colour blindness (Okabe and Ito 2008), for light and dark.

Pages take them as custom properties of CSS (`css_properties`); bokeh and matplotlib take the constants.
"""

from collections.abc import Mapping
from typing import Final

from hypojax.schema import SUBUNITS

SUBUNIT_COLOURS: Final = ("#e69f00", "#56b4e9", "#d55e00", "#009e73", "#f0e442")
"""One colour per subunit, in the order of ``schema.SUBUNITS``, the same left and right."""

INTRACRANIAL_COLOUR: Final = "#cc79a7"
"""Of the outline of the intracranial volume."""

GROUP_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9", "#808080")
"""Groups, sites or sexes in their order; they read on white and on the dark page."""

LIGHT: Final[Mapping[str, str]] = {
    "paper": "#fdfdfb",  # the page
    "panel": "#f4f5f2",  # boxes, heads of tables, bands of figures
    "ink": "#1b2025",
    "faint": "#566069",  # text that may be passed over
    "rule": "#dcdfdd",
    "line": "#8a9299",  # axes, borders of controls
    "accent": "#005f94",  # links, focus, estimates
    "good": "#00694d",
    "doubt": "#934500",
    "doubt-back": "#fdf0e1",
    "bad": "#a5231c",
    "bad-back": "#fcebe8",
}
"""Colours of a light page by name; text has a contrast of at least 4.5 to the page and to its own background."""

DARK: Final[Mapping[str, str]] = {
    "paper": "#14171a",
    "panel": "#1d2125",
    "ink": "#e2e5e7",
    "faint": "#9ca6ae",
    "rule": "#2f353a",
    "line": "#6d767e",
    "accent": "#73bdee",
    "good": "#55c7a2",
    "doubt": "#f2ab66",
    "doubt-back": "#33271a",
    "bad": "#ff9488",
    "bad-back": "#3a2120",
}
"""The same names for a dark page."""


def css_properties() -> str:
    """All colours as custom properties: light, dark where the reader's system or the page's switch says so, light in print.

    >>> "--subunit-1:#e69f00" in css_properties()
    True
    """
    fixed = {f"subunit-{place}": colour for place, colour in enumerate(SUBUNIT_COLOURS, 1)}
    fixed |= {f"subunit-{place + len(SUBUNITS)}": colour for place, colour in enumerate(SUBUNIT_COLOURS, 1)}  # of the right side
    fixed |= {f"group-{place}": colour for place, colour in enumerate(GROUP_COLOURS, 1)}
    fixed["intracranial"] = INTRACRANIAL_COLOUR
    light, dark = _properties(LIGHT), _properties(DARK)
    return (
        f":root{{{_properties(fixed)}{light}color-scheme:light}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}color-scheme:dark}}}}"
        f"@media screen{{:root[data-theme=dark]{{{dark}color-scheme:dark}}}}"
    )


def _properties(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())
