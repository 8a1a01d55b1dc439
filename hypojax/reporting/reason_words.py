"""Why scans failed and volumes are missing, in words for somebody who reads no code, and what to do about it."""

from typing import Final, NamedTuple

from hypojax.reason import visible


class ReasonWords(NamedTuple):
    """A typed reason in words, and the next step."""

    words: str
    step: str


FAILURES: Final[dict[str, ReasonWords]] = {
    "unreadable": ReasonWords("the file cannot be read", "open it in another viewer; copy or convert it again"),
    "empty_file": ReasonWords("the file is empty", "copy or convert it again"),
    "not_an_image": ReasonWords("the file is not an image", "leave it out, or replace it by the right image"),
    "truncated": ReasonWords("the file ends too early", "copy or convert it again"),
    "corrupted": ReasonWords("the file is damaged", "copy it again from its source"),
    "too_large": ReasonWords("the scan is too large", "crop it, or resample it to a usual voxel size"),
    "zero_dimension": ReasonWords("the image has no voxels", "convert it again"),
    "not_3d": ReasonWords("the image is not one volume", "give one volume: the structural scan"),
    "unsupported_dtype": ReasonWords("the voxels are not plain numbers", "convert it to NIfTI with real numbers"),
    "affine_not_finite": ReasonWords("the header does not say where the voxels are", "convert it again, or correct its sform"),
    "affine_singular": ReasonWords("the header puts voxels on top of each other", "convert it again, or correct its sform"),
    "voxel_size": ReasonWords("the voxel size is impossible, or too coarse", "check the header; coarse scans cannot be measured"),
    "constant_image": ReasonWords("all voxels have the same value", "look at the scan; convert it again"),
    "no_finite_voxels": ReasonWords("no voxel has a value", "look at the scan; convert it again"),
    "inverted": ReasonWords("the background is brighter than the head", "give the T1-weighted image itself"),
    "label_map": ReasonWords("this is a label map, not a scan", "give the T1-weighted image itself"),
    "not_t1w": ReasonWords("it is no T1-weighted scan of a head", "give the T1-weighted image of this person"),
    "no_hypothalamus": ReasonWords("no hypothalamus was found", "look at the scan: is it a T1-weighted head, and whole?"),
    "no_brain": ReasonWords("no brain was found", "look at the scan: is it a T1-weighted head, and whole?"),
    "crashed": ReasonWords("the program crashed on this scan, more than once", "look at the scan; send its header with a bug report"),
    "out_of_memory": ReasonWords("there was not enough memory", "run again with more memory, or --batch 1"),
    "no_access": ReasonWords("the file may not be read", "ask for the right to read it, then run again"),
    "unreachable": ReasonWords("the disk or server of the file did not answer", "run again"),
    "unexpected": ReasonWords("an unexpected error", "run again; then send a bug report with the message"),
}
"""Reason of a failed scan → what it says."""

GAPS: Final[dict[str, ReasonWords]] = {
    "skull_stripped": ReasonWords("the skull was removed before", "use the scan with its skull where head size is needed"),
    "cut_off": ReasonWords("it is partly outside the image", "it cannot be measured on this scan"),
    "partly_blank": ReasonWords("a part of the head is blank", "use the scan from before defacing or cropping, where there is one"),
    "noise_outside_head": ReasonWords("noise outside the head is as bright as tissue", "use a denoised MP2RAGE image"),
    "nonfinite_voxels": ReasonWords("some voxels there have no value", "convert the scan again"),
    "no_hypothalamus": FAILURES["no_hypothalamus"],
    "no_brain": FAILURES["no_brain"],
}
"""Reason of a missing volume → what it says."""


def failure_words(reason: str) -> ReasonWords:
    """A failure in words; that of another version by its code.

    >>> failure_words("truncated").words, failure_words("of_tomorrow").words
    ('the file ends too early', 'of tomorrow')
    """
    return FAILURES.get(reason) or ReasonWords(_plain(reason), "see the message")


def gap_words(reason: str) -> ReasonWords:
    """The reason of a missing volume in words.

    >>> gap_words("skull_stripped").words
    'the skull was removed before'
    """
    return GAPS.get(reason) or ReasonWords(_plain(reason), "see notes and flags of these scans")


def _plain(reason: str) -> str:
    return visible(reason).replace("_", " ") or "no reason is recorded"
