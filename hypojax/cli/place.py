"""An argument that is a path, or the URL of a place in a bucket."""

from typing import Annotated, Any, Final

from tyro.constructors import PrimitiveConstructorSpec

from hypojax.storage import Location, locate

SPEC: Final = PrimitiveConstructorSpec[Any](
    nargs=1,
    metavar="PATH|URL",
    instance_from_str=lambda words: locate(words[0]),
    is_instance=lambda value: isinstance(value, Location),
    str_from_instance=lambda place: [str(place)],
)

Place = Annotated[Location, SPEC]
"""A path, or a URL (``s3://bucket/out``)."""
