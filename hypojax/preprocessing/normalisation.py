"""Which normalisation weights learnt from, known by its constants: weights of another give volumes that are wrong and look right.

The constants are read from the rooms that normalise, so that none can be changed or added without being noticed here.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import hypojax.preprocessing.foreground as foreground  # noqa: PLR0402 - asking the package for its own module would be a cycle
import hypojax.preprocessing.intensity as intensity  # noqa: PLR0402
import hypojax.schema as schema  # noqa: PLR0402

ROOMS: Final = {"intensity": intensity, "foreground": foreground}
"""Rooms of which every constant that is a number, or several, belongs to the normalisation, those they take from other rooms too."""

GRIDS: Final = ("HEAD_SHAPE", "HEAD_SPACING", "BOX_SHAPE", "BOX_SPACING")
"""Constants of `hypojax.schema` that do."""

RELEASED: Final[Mapping[str, Any]] = {
    "intensity.BINS": 256,
    "intensity.CLIP": [0.5, 99.0],
    "intensity.TRIM": [5.0, 90.0],
    "intensity.FARTHEST": 10.0,
    "intensity.BRIGHTEST": 3.0,
    "intensity.LEAST_INSIDE": 0.25,
    "foreground.COARSE_SPACING": 4.0,
    "foreground.VERTEX_MARGIN": 14.0,
    "foreground.CRANIUM_HEIGHT": 140.0,
    "foreground.HIGHER": 32.0,
    "foreground.MOST_LOWERED": 2,
    "foreground.HEAD_HEIGHT": 180.0,
    "foreground.UNLIKE": 0.25,
    "foreground.HEAD_SHAPE": [112, 112, 96],
    "foreground.HEAD_SPACING": 2.0,
    "schema.HEAD_SHAPE": [112, 112, 96],
    "schema.HEAD_SPACING": 2.0,
    "schema.BOX_SHAPE": [40, 40, 40],
    "schema.BOX_SPACING": 1.0,
}
"""The constants of weights from before headers had them. One that comes new into a room stands here only if, with this value, the scans
that these weights learnt from are normalised as they were."""


def constants() -> dict[str, Any]:
    """Every constant of the normalisation as it is now, by room and name, of types that JSON has.

    >>> constants()["intensity.TRIM"]
    [5.0, 90.0]
    """
    found = {f"{room}.{name}": value for room, held in ROOMS.items() for name, value in vars(held).items() if _is_constant(name, value)}
    found |= {f"schema.{name}": getattr(schema, name) for name in GRIDS}
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def difference(learnt: Mapping[str, Any]) -> str:
    """How the normalisation of today differs from the constants that weights learnt from; empty where it does not.

    >>> difference({**RELEASED, "intensity.TRIM": [5.0, 99.0]})
    'intensity.TRIM was [5.0, 99.0], is [5.0, 90.0]'
    """
    now = constants()
    return ", ".join(f"{name} was {learnt.get(name, 'not there')}, is {value}" for name, value in now.items() if learnt.get(name) != value)


def _is_constant(name: str, value: object) -> bool:
    """Whether a name of a room stands for a number, or several."""
    values = value if isinstance(value, tuple) else (value,)
    return name.isupper() and all(isinstance(one, (int, float)) for one in values)
