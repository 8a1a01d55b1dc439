"""What a search finds: scans, and what is to be known of how they were found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypojax.storage import Location


@dataclass(frozen=True)
class Scan:
    """One scan that was found.

    Parameters
    ----------
    id
        Its name in everything that follows (``sub-01_ses-2``).
    path
        The file, or the folder of a DICOM series.
    entities
        ``subject``, ``session``, ``run`` and the like, from a BIDS name.
    columns
        What the participants, sessions or input table says of it.
    dataset
        Name of its dataset: within one, a label of a subject stands for one person.
    listed
        Where a table lists it, in words; empty where none does.
    """

    id: str
    path: Location
    entities: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | int | float | None] = field(default_factory=dict)
    dataset: str = ""
    listed: str = ""


@dataclass(frozen=True)
class Discovery:
    """What a search found.

    Parameters
    ----------
    scans
        Sorted by id.
    ignored
        How many images of which kind were left aside (``{"bold": 3}``).
    notes
        What the user should know of how they were found, a sentence each, with the next step.
    datasets
        Name of a dataset → the folder that has it; none for a name that the user chose.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int]
    notes: tuple[str, ...] = ()
    datasets: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True)
class Find:
    """Scans of one input, before names are settled.

    Parameters
    ----------
    scans
        In the order of the search.
    ignored
        As in `Discovery`.
    dataset
        Resolved root of the dataset they are from, whose name goes before ids that clash; None where they are from none.
    notes
        What the user should know of them, a sentence each.
    folder
        Where there is no dataset: the folder, or table, that was named, and that names the dataset in its place.
    named
        Whether the user gave the scans their ids, which then stay as they are.
    """

    scans: tuple[Scan, ...]
    ignored: Mapping[str, int] = field(default_factory=dict)
    dataset: Location | None = None
    notes: tuple[str, ...] = ()
    folder: Location | None = None
    named: bool = False

    @property
    def home(self) -> Location | None:
        """The folder whose name tells these people from others with the same labels."""
        return self.dataset or self.folder
