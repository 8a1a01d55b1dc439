"""Why a scan or a run was refused: one typed reason, one sentence that names the scan and the next step.

What a sentence quotes from elsewhere (file names, table cells, messages of other programs) is made fit to be shown by `visible`.
"""

from enum import StrEnum
from typing import Any, Final

ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)
"""How Python spells bytes of a file name that are no UTF-8: 0xDC00 and the byte."""

SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


class Reason(StrEnum):
    """Reason codes as they stand in ``reason(scan)`` and ``missing_reason(scan, region)`` of a cohort."""

    NONE = ""
    # The file could not be read as a scan.
    UNREADABLE = "unreadable"
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPTED = "corrupted"
    # The header was refused before any voxel was read.
    TOO_LARGE = "too_large"
    ZERO_DIMENSION = "zero_dimension"
    NOT_3D = "not_3d"
    UNSUPPORTED_DTYPE = "unsupported_dtype"
    AFFINE_NOT_FINITE = "affine_not_finite"
    AFFINE_SINGULAR = "affine_singular"
    VOXEL_SIZE = "voxel_size"
    # The voxels hold no head.
    CONSTANT_IMAGE = "constant_image"
    NO_FINITE_VOXELS = "no_finite_voxels"
    INVERTED = "inverted"
    LABEL_MAP = "label_map"
    NOT_T1W = "not_t1w"
    # The segmentation found nothing it can stand for.
    NO_HYPOTHALAMUS = "no_hypothalamus"
    NO_BRAIN = "no_brain"
    # The process that worked on it died, more than once and with nothing else at work.
    CRASHED = "crashed"
    # Nothing is wrong with the scan: the devices could not hold it.
    OUT_OF_MEMORY = "out_of_memory"
    # One region is missing although the scan is done.
    SKULL_STRIPPED = "skull_stripped"
    CUT_OFF = "cut_off"
    PARTLY_BLANK = "partly_blank"
    NOISE_OUTSIDE_HEAD = "noise_outside_head"
    NONFINITE_VOXELS = "nonfinite_voxels"
    # A label map and its reference could not be compared.
    NO_PREDICTION = "no_prediction"
    NO_REFERENCE = "no_reference"
    AMBIGUOUS_PAIR = "ambiguous_pair"
    OTHER_LABELS = "other_labels"
    # The run, not the scan.
    DUPLICATE_SCAN = "duplicate_scan"
    NOTHING_FOUND = "nothing_found"
    NOT_WRITABLE = "not_writable"
    NO_ACCESS = "no_access"
    UNREACHABLE = "unreachable"
    DISK_FULL = "disk_full"
    OTHER_SETTINGS = "other_settings"
    STORE_DAMAGED = "store_damaged"
    WEIGHTS_MISSING = "weights_missing"
    WEIGHTS_CORRUPTED = "weights_corrupted"
    USAGE = "usage"
    BUSY = "busy"
    CLUSTER_LOST = "cluster_lost"
    UNEXPECTED = "unexpected"


class HypojaxError(Exception):
    """An error with a typed reason and a sentence for the user.

    Parameters
    ----------
    reason
        The code, as tables have it.
    message
        What is wrong, with the value found, and what to do next.

    Examples
    --------
    >>> str(HypojaxError(Reason.USAGE, "no input was named; give a folder"))
    'no input was named; give a folder'
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes whole: by default an exception is made again from its message alone."""
        return _again, (type(self), str(self), self.__dict__)


class ScanError(HypojaxError):
    """One scan cannot be used; its neighbours go on.

    Examples
    --------
    >>> str(ScanError(Reason.AFFINE_SINGULAR, "sub-017", "affine is singular (determinant 0); fix the header"))
    "scan 'sub-017': affine is singular (determinant 0); fix the header"
    """

    def __init__(self, reason: Reason, scan: str, message: str) -> None:
        super().__init__(reason, f"scan {scan!r}: {message}")
        self.scan = scan

    def located(self, listed: str) -> "ScanError":
        """The same error, which also says where the scan was listed, in words; unchanged where that is nothing.

        >>> str(ScanError(Reason.UNREADABLE, "b", "no such file; correct it").located("row 2 of table a.tsv"))
        "scan 'b': no such file; correct it (listed in row 2 of table a.tsv)"
        """
        if listed:
            self.args = (f"{self} (listed in {listed})",)
        return self


class RunError(HypojaxError):
    """The run as a whole cannot start or go on (usage, store, weights)."""


class WrongTypeError(RunError, TypeError):
    """A function was given something of a type that it does not take.

    Parameters
    ----------
    taken
        What the function takes, as the beginning of the sentence.
    value
        What it was given.

    Examples
    --------
    >>> str(WrongTypeError("a place is a path or a URL", 3))
    'a place is a path or a URL, not int (3)'
    """

    def __init__(self, taken: str, value: object) -> None:
        shown = " ".join(repr(value).split())
        super().__init__(Reason.USAGE, f"{taken}, not {type(value).__name__} ({shown if len(shown) <= 60 else shown[:60] + '…'})")


def _again(kind: type[HypojaxError], message: str, state: dict[str, Any]) -> HypojaxError:
    """An error that came from another process."""
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with everything spelled out that is no printable character, but for those in ``keep``.

    What is spelled out could clear or colour a terminal (escape codes, C1 codes), reverse what is read (bidirectional overrides),
    begin a new line, or not be encoded at all (bytes of a file name that are no UTF-8).

    >>> visible("Andr\udce9\x1b[31m"), visible("André"), visible("a\nb\u202e")
    ('Andr\\xe9\\x1b[31m', 'André', 'a\\nb\\u202e')
    """
    return text if text.isprintable() else "".join(one if one in keep else _spelled(one) for one in text)


def _spelled(character: str) -> str:
    """One character as it is shown."""
    number = ord(character)
    if character.isprintable():
        return character
    if number in ESCAPED_BYTES:
        return f"\\x{number - 0xDC00:02x}"
    return SHORT.get(character) or character.encode("unicode_escape").decode()
