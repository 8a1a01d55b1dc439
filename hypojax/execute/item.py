"""What travels down the line: a scan as it was read, as it waits for the network, as it was segmented; or why it was refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypojax.execute.measured import Volume
from hypojax.execute.outcome import ScanResult
from hypojax.grid import Affine
from hypojax.scans import Image

if TYPE_CHECKING:
    from hypojax.segmenter.segmenter import Prepared, Segmentation


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scan that was read and stored.

    Parameters
    ----------
    scan
        Its id.
    image
        Its voxels and geometry.
    row
        What the table can say of it already.
    seconds
        Time that took.
    """

    scan: str
    image: Image
    row: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, eq=False)
class Ready:
    """A scan that waits for the network; its voxels are scaled, those as stored are gone.

    Parameters
    ----------
    scan
        Its id.
    header
        Raw header of its file.
    row
        What the table can say of it already.
    prepared
        What the network made of it.
    seconds
        Time that took, from the file on.
    """

    scan: str
    header: bytes
    row: Mapping[str, Any]
    prepared: "Prepared"
    seconds: float


@dataclass(frozen=True, eq=False)
class Segmented:
    """A scan that was segmented.

    Parameters
    ----------
    scan
        Its id.
    header
        Raw header of its file.
    row
        What the table can say of it already.
    volume, affine
        Its scaled voxels and their place, mm, RAS+.
    segmentation
        What the network says of it.
    seconds
        Time since it was begun, waiting left out.
    """

    scan: str
    header: bytes
    row: Mapping[str, Any]
    volume: Volume
    affine: Affine
    segmentation: "Segmentation"
    seconds: float


@dataclass(frozen=True)
class Refused:
    """A scan that failed and whose record is still to be written.

    Parameters
    ----------
    result
        Why.
    row
        What the table can say of it all the same.
    """

    result: ScanResult
    row: Mapping[str, Any] = field(default_factory=dict)
