"""What the name of an image, or of a folder, says that it is: names of BIDS, of converters (dcm2niix), of SPM, FSL, CAT12 and FreeSurfer.

Names are judged where a folder is searched. An image that is named by itself is always taken.

A subject's folder of FreeSurfer (Fischl 2012) or FastSurfer (Henschel 2020) holds one person's head many times: as it was given
(``mri/rawavg.mgz``, ``mri/orig/001.mgz``), resampled (``mri/orig.mgz``), corrected (``mri/T1.mgz``), stripped and labelled.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from hypojax.scans.bids import IMAGE_SUFFIXES, entities, modality, stem, why_ignored
from hypojax.storage import Location, names

NO_T1W: Final = re.compile(
    "FLAIR|MT[RS]|PD|PDT2|PDw|[RT][12]map|T2star|T2starw|T2w|UNIT1|angio|asl|bold|boldref|cbv|defacemask|dseg|dwi|dwiref|epi|fieldmap|"
    "inplaneT[12]|m0scan|magnitude[12]?|mask|phase[12]|phasediff|probseg|sbref|xfm"
)
"""Suffixes of BIDS names that say that an image is something else, also outside of a dataset."""

OTHER_FORMATS: Final = (
    ".img",
    ".img.gz",
    ".nrrd",
    ".nhdr",
    ".mnc",
    ".mha",
    ".mhd",
    ".par",
    ".gipl",
    ".hdf5",
    ".zip",
    ".tar",
    ".tar.gz",
    ".tgz",
)
"""Images and archives that are not read; counted, so that nobody wonders where they are."""

PACKED: Final = re.compile(r"\.(nii|mgz|mgh)(\.gz)?(\.\w+|~)+$")
"""An image that was packed otherwise, packed twice, not downloaded completely, or set aside."""

NEVER: Final = {
    "region of interest": r"roi\d*",
    "phase": r"(ph|pha|phmag|phase|imag|imaginary|real)(_e?\d+)?$|pha(se)?_?(map|image)s?",
    "localizer": r"locali[sz]ers?|lokalizer|loc|(aa?h?head_?|aah_?)?scout\d*|survey|(3|three)_?planes?(_?loc)?|plane_?loc|smart_?brain",
    "calibration": r"calibration|coil_?survey|ref_?head|sense_?ref(_?scan)?|asset(_?cal)?|b[01]_?map\w*|field_?map\w*|gre_field\w*|shim"
    r"|afi|bias_(bc|32ch)",
    "T1 map": r"[rt][12]_?map|t1_images",
    "label map": r"(brain_?)?mask|(f|first_?|fast_?)?seg(mentation)?|labels?(_?map)?|aseg|aparc\w*|wmparc|ribbon|parcellation",
    "tissue map": r"pve(seg)?(_\d)?|mixeltype",
    "field": r"bias(_?field)?|warp(_?field)?|jac(obian)?",
    "image in the space of a template": r"t88",
    "ratio": r"t1w?(divided)?by_?t2w?",
    "mosaic": r"mosaics?",
    "report": r"phoenix\w*|screen_?(save|shot)s?|evidence_?docs?",
}
"""What an image is → words that say so whatever else its name says; whole words in small letters."""

OTHERWISE: Final = {
    "t2": r"t2(w|fs|tse|star|space|flair|weighted)?|haste",
    "flair": r"flair|dark_?fluid",
    "swi": r"swi|swan|qsm|m?in?_?ip|mip|mag_images|pha_images",
    "dwi": r"dwi|dti|dki|hardi|noddi|diffusion|adc|colfa|tracew|trace|tensor|fa_?map",
    "bold": r"bold|fmri|rs_?fmri|ep2d|epi|func|rest(ing)?(_?state)?|sbref|moco\w*",
    "perfusion": r"p?c?asl|pasl|pcasl|perf(usion)?|dsc|dce|cbf|cbv|mtt|ttp|relcbf|relcbv",
    "angiography": r"tof|mra|mrv|angio\w*",
    "proton density": r"pdw|pd_?t2|proton(_?density)?",
}
"""The same for words that mean nothing where the name says too that the image is T1-weighted (``study_fmri_mprage``)."""

T1: Final = r"(3d_?)?t1(w|_?weighted|mprage|_?mpr|_?space|_?tfe|_?ffe|_?fl\w*)?|mprage|mpr|mp2rage|i?r?f?spgr|bravo|tfl(3d)?|mdeft|memprage"
"""Words that say that an image is T1-weighted."""

BESIDE: Final = re.compile(
    r"_(tilt_)?eq_?\d*|_crop_?\d*|_roi\d*|_(brain|bet|ss|skull_?strip(ped)?|strip(ped)?)(_mask)?|_mask|_bias_?(corr(ected)?|field)?|_restore\w*|_unbiased\w*|_n[34]\w*"
    r"|_seg(mentation)?(_\d)?|_pve(seg|_\d)?|_mixeltype|_prob_\d|_(de|re)faced?|_reg\w*|_warped|_mni\w*|_to_\w+|_norm(ali[sz]ed)?|_resampled?\w*|_conform(ed)?|_?\dmm",
    re.IGNORECASE,
)
"""What programs put behind the name of the image that they began with."""

BEFORE: Final = re.compile(r"s?(m0|m)?w?p\d|s?m?r?w?c\d|rp\d|cat_|(i?y|u)_(rc1)?|avg_|n4_")
"""What SPM and CAT12 put before it."""

LETTERS: Final = re.compile("[smrw]{1,3}")
"""The same where it is letters alone: smoothed, modulated or corrected, resliced, warped."""

TILT: Final = re.compile(r"_tilt(_\d+)?", re.IGNORECASE)
"""What dcm2niix puts behind the name of an image whose slanting slices it has set straight: that one is right, and the other is not."""

SHORTEST: Final = 3
"""Letters that what follows `LETTERS` must have unless it says T1, so that ``m1`` is not made from ``1``."""


def other_format(name: str) -> str | None:
    """The end of the name of an image that is not read: another format, or one that must be unpacked; None for other files.

    >>> [other_format(name) for name in ("a.mnc", "a.nii.bz2", "a.nii.gz.part", "a.nii.gz", "a.txt")]
    ['.mnc', '.nii.bz2', '.nii.gz.part', None, None]
    """
    small = name.lower()
    match = PACKED.search(small)
    if match and not small.endswith(IMAGE_SUFFIXES):
        return match[0]
    return next((suffix for suffix in OTHER_FORMATS if small.endswith(suffix)), None)


def what_name_says(path: Location) -> str | None:
    """What an image is when its name says that it is no T1w scan; None where it may be one.

    >>> from pathlib import Path
    >>> [what_name_says(Path(f"{name}.nii")) for name in ("1_AAHScout", "5_mprage_ph", "7_t2_space", "fmri_study_T1", "P017")]
    ['localizer', 'phase', 't2', None, None]
    """
    if NO_T1W.fullmatch(modality(path)):
        return modality(path)
    if entities(path) and modality(path) == "T1w":
        return why_ignored(path)
    return what_words_say(stem(path))


def what_words_say(name: str) -> str | None:
    """The same of any name, such as that of a folder with a DICOM series.

    >>> what_words_say("AxialT2FLAIR"), what_words_say("T1_FLAIR"), what_words_say("t1_localizer")
    ('t2', None, 'localizer')
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    texts = [re.sub(r"[^a-z0-9]+", "_", text.lower()) for text in (name, parted)]
    said = _first(NEVER, texts)
    return said or (None if any(_has(T1, text) for text in texts) else _first(OTHERWISE, texts))


def made_from(name: str, others: Collection[str]) -> str | None:
    """The image beside it that another was made from, as their names without suffixes say; None where it is none of those.

    Parameters
    ----------
    name
        Of the image in question.
    others
        Of the images in its folder.

    Examples
    --------
    >>> made_from("T1_brain", {"T1", "T1_brain"}), made_from("c1T1", {"T1", "c1T1"}), made_from("T1", {"T1", "T1_Tilt_1"})
    ('T1', 'T1', 'T1_Tilt_1')
    """
    return next((other for other in sorted(set(others) - {name}) if _is_from(name, other)), None)


def _is_from(name: str, other: str) -> bool:
    """Whether a name is that of another image with something before or behind it, or that image is the same set straight."""
    if name.startswith(other):
        return bool(BESIDE.fullmatch(name[len(other) :]))
    if other.startswith(name):
        return bool(TILT.fullmatch(other[len(name) :]))
    before = name.removesuffix(other)
    return before != name and bool(BEFORE.fullmatch(before) or (_is_word(other) and LETTERS.fullmatch(before)))


def _is_word(name: str) -> bool:
    """Whether a name is long enough, or clear enough, to be meant where letters stand before it."""
    return len(name) >= SHORTEST or re.fullmatch(T1, name.lower()) is not None


def _first(kinds: dict[str, str], texts: Collection[str]) -> str | None:
    """The first kind that a name has a word of."""
    return next((kind for kind, words in kinds.items() if any(_has(words, text) for text in texts)), None)


def _has(words: str, text: str) -> bool:
    """Whether a name has one of these words; digits may stand beside it, letters may not."""
    return re.search(rf"(?<![a-z])(?:{words})(?![a-z])", text) is not None


SUBJECT_IMAGES: Final = ("mri/rawavg.mgz", "mri/orig/001.mgz", "mri/orig.mgz", "mri/T1.mgz")
"""The images of a subject's folder that are a whole head, the least changed first."""

TEMPLATES: Final = re.compile(r"fsaverage.*|cvs_avg.*|[lr]h\.EC_average|V1_average")
"""Heads that come with FreeSurfer, linked into every folder of subjects: nobody's."""

BASE: Final = "base-tps"
"""A file in the folder of a template that the longitudinal stream made of a person's visits."""

LONG: Final = ".long."
"""The part of the name of a visit that was done again with such a template, between those of the visit and the template."""

CAT12: Final = re.compile(r"(m0)?m?wp[0-3].+|p0.+")
"""Names of images that only CAT12 gives."""


@dataclass(frozen=True)
class Subjects:
    """The folders of subjects in one folder.

    Parameters
    ----------
    scans
        Name of a subject's folder → the one image of it that is taken.
    excluded
        Names of folders that hold no scan of their own: templates, and visits done again with one.
    """

    scans: dict[str, Location]
    excluded: tuple[str, ...]


def subject_image(folder: Location) -> Location | None:
    """The scan in a subject's folder of FreeSurfer or FastSurfer: the first of `SUBJECT_IMAGES`; None where there is none.

    >>> from pathlib import Path
    >>> subject_image(Path("/nowhere"))
    """
    if not (folder / "mri").is_dir():
        return None
    return next((path for name in SUBJECT_IMAGES if (path := folder / name).is_file()), None)


def subjects_in(folder: Location, inner: Collection[str]) -> Subjects:
    """Those folders among ``inner`` that FreeSurfer or FastSurfer made of a subject.

    One that the longitudinal stream did again counts where the visit itself is not there.
    """
    found = {name: image for name in sorted(inner) if (image := subject_image(folder / name))}
    excluded = tuple(name for name in found if _is_no_scan(folder / name, found))
    return Subjects({name: image for name, image in found.items() if name not in excluded}, excluded)


def made_by_cat12(folder: Location) -> bool:
    """Whether a folder is the ``mri`` of CAT12, whatever it was made from."""
    return folder.name == "mri" and any(CAT12.fullmatch(name) for name in names(folder)[1])


def _is_no_scan(folder: Location, found: Collection[str]) -> bool:
    """Whether a subject's folder is a template, or a visit that is there by itself too."""
    visit, again, _ = folder.name.partition(LONG)
    return bool(TEMPLATES.fullmatch(folder.name)) or (folder / BASE).is_file() or (bool(again) and visit in found)
