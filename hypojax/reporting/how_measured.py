"""How a cohort was measured: versions and weights, the model cards in brief, a methods paragraph to paste, and references."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hypojax.reason import RunError
from hypojax.release import STAGES, released_folder
from hypojax.reporting.reason_words import failure_words
from hypojax.reporting.report_data import ReportData
from hypojax.reporting.shared_cohort import uses_ensemble
from hypojax.tables.cells import counted

NETWORKS: Final = {"head": "Whole head, 2 mm: intracranial volume, and where the hypothalamus is", "box": "40 mm box, 1 mm: ten subunits"}

VERSIONS: Final = ("hypojax", "jax", "numpy", "xarray", "zarr", "device")
"""Attributes of a cohort that say what measured it, where it says so."""

METHODS: Final = (
    "Volumes of the hypothalamus, of its ten subunits (anterior inferior and superior, posterior, inferior and superior tubular, on each "
    "side; Bocchetta 2015) and of the intracranial space were measured on T1-weighted scans with {software}: a convolutional network on "
    "the whole head at 2 mm gives the intracranial volume and finds the hypothalamus, a second one on a box of 40 mm at 1 mm{axes} "
    "gives the subunits; it learnt from automatic labels (Billot 2020).{ensemble} Volumes are sums of posterior probabilities "
    "(soft volumes)."
)

AXES: Final = ", along the axes of the MNI152NLin2009cAsym template as it lies in each head (AC-PC coronal sections),"

BIBTEX: Final = """\
@software{hypojax,
  title   = {hypojax: hypothalamus and intracranial volume of thousands of {T1}-weighted {MRI} scans, as xarray},
  author  = {{The hypojax authors}},
  version = {VERSION},
  license = {Apache-2.0}
}
@article{billot2020,
  title   = {Automated segmentation of the hypothalamus and associated subunits in brain {MRI}},
  author  = {Billot, Benjamin and Bocchetta, Martina and Todd, Emily and Dalca, Adrian V. and Rohrer, Jonathan D. and
             Iglesias, Juan Eugenio},
  journal = {NeuroImage},
  year    = {2020},
  volume  = {223},
  pages   = {117287},
  doi     = {10.1016/j.neuroimage.2020.117287}
}
@article{bocchetta2015,
  title   = {Detailed volumetric analysis of the hypothalamus in behavioral variant frontotemporal dementia},
  author  = {Bocchetta, Martina and Gordon, Elizabeth and Manning, Emily and Barnes, Josephine and Cash, David M. and
             Espak, Miklos and Thomas, David L. and Modat, Marc and Rossor, Martin N. and Warren, Jason D. and
             Ourselin, Sebastien and Frisoni, Giovanni B. and Rohrer, Jonathan D.},
  journal = {Journal of Neurology},
  year    = {2015},
  volume  = {262},
  pages   = {2635--2642},
  doi     = {10.1007/s00415-015-7885-2}
}
"""
"""What ``CITATION.cff`` has, for LaTeX."""


@dataclass(frozen=True)
class CardExtract:
    """The part of a model card that a reader of results needs.

    Parameters
    ----------
    network
        What it does.
    sha256
        Of the weights that measured.
    header, rows
        What was measured of it, against which bar; nothing where the weights are not those of this version.
    remarks
        What it was trained on, or its limits, in sentences.
    """

    network: str
    sha256: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    remarks: tuple[str, ...] = ()


def version_rows(data: ReportData) -> list[tuple[str, str]]:
    """What measured: software and device."""
    return [(name, str(data.cohort.attrs[name])) for name in VERSIONS if data.cohort.attrs.get(name)]


def cards(data: ReportData) -> list[CardExtract]:
    """Of each network the weights and what its card says; nothing of the card where the weights are others."""
    return [_card(stage, str(data.cohort.attrs.get(f"weights_{stage}_sha256", ""))) for stage in STAGES]


def methods_paragraph(data: ReportData) -> str:
    """The methods paragraph, with the numbers of this cohort."""
    done, attributes = data.cohort["status"].values == "done", data.cohort.attrs
    hashes = {stage: str(attributes.get(f"weights_{stage}_sha256", ""))[:12] for stage in STAGES}
    weights = ", ".join(f"{stage} {digest}" for stage, digest in hashes.items() if digest)
    software = f"hypojax {attributes.get('hypojax', '(version not recorded)')}{f' (weights: {weights})' if weights else ''}"
    ensemble = " The mean of five networks of a cross-validation was used for the box." if uses_ensemble(attributes) else ""
    posed = "tilt_deg" in data.cohort and bool(np.isfinite(data.cohort["tilt_deg"].values).any())
    measured = METHODS.format(software=software, axes=AXES if posed else "", ensemble=ensemble)
    return " ".join((measured, *_counts(data, int(done.sum()))))


def bibtex(data: ReportData) -> str:
    """References of the methods paragraph."""
    return BIBTEX.replace("{VERSION}", f"{{{data.cohort.attrs.get('hypojax', '')}}}")


def _counts(data: ReportData, done: int) -> Iterator[str]:
    """Sentences on how many scans were measured, failed, are missing a volume, and carry a flag."""
    cohort = data.cohort
    status = cohort["status"].values
    yield f"Of {counted(len(status), 'scan')}, {done:,} {'was' if done == 1 else 'were'} measured."
    reasons = Counter(failure_words(str(reason)).words for reason in cohort["reason"].values[status == "failed"])
    if reasons:
        yield f"Not measured: {'; '.join(f'{words} ({count})' for words, count in reasons.most_common())}."
    without = int((np.isnan(cohort["volume_mm3"].sel(region="icv").values) & (status == "done")).sum())
    if without:
        yield f"The intracranial volume is missing in {without:,} of the measured {'scan' if done == 1 else 'scans'}."
    flagged = int((cohort["flagged"].values.any(axis=1) & (status == "done")).sum())
    if flagged:
        yield f"Quality flags marked {counted(flagged, 'scan')}."
    ratings = data.ratings[data.ratings["scan"].isin(cohort["scan"].values)]
    if rated := ratings["scan"].nunique():
        raters = counted(ratings["rater"].nunique(), "rater")
        yield f"{counted(rated, 'scan was', many='scans were')} rated by eye by {raters}."


def _card(stage: str, sha256: str) -> CardExtract:
    try:
        text = (released_folder() / f"{stage}.md").read_text(encoding="utf-8")
    except (OSError, RunError):
        text = ""
    if not sha256 or f"SHA-256 `{sha256}`" not in text:
        other = "These are not the weights that come with this version of hypojax: how well they measure must be known from elsewhere."
        return CardExtract(NETWORKS[stage], sha256, remarks=(other,))
    header, *rows = _table(_section(text, "Measured"))
    return CardExtract(NETWORKS[stage], sha256, header, tuple(rows), _limits(text))


def _limits(card: str) -> tuple[str, ...]:
    """The limits that a card begins with, without sentences on what stands elsewhere in it."""
    paragraph = next(iter(_paragraphs(_section(card, "Limits"))), "")
    said = " ".join(sentence for sentence in re.split(r"(?<=\.) (?=[A-Z])", paragraph) if " below " not in sentence)
    return (said,) if said else ()


def _section(text: str, heading: str) -> str:
    """Text below the first heading that begins so."""
    return re.split(rf"^## {heading}.*$", text, maxsplit=1, flags=re.MULTILINE)[-1].split("\n## ")[0]


def _table(text: str) -> list[tuple[str, ...]]:
    """Rows of the first Markdown table, without its rule."""
    rows: list[tuple[str, ...]] = []
    for line in text.splitlines():
        if line.startswith("|"):
            rows.append(tuple(_plain(cell) for cell in line.strip("|").split("|")))
        elif rows:
            break
    return [row for row in rows if not all(set(cell) <= {"-", ":"} and cell for cell in row)]


def _paragraphs(text: str) -> list[str]:
    return [_plain(" ".join(part.split())) for part in text.split("\n\n") if part.strip() and not part.lstrip().startswith("|")]


def _plain(text: str) -> str:
    """Markdown without its marks."""
    return re.sub(r"\*\*|`", "", text).strip().replace(">=", "≥").replace("<=", "≤")
