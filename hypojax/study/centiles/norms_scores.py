"""Centiles and z-scores of people by norms, with intervals and a mark on those for whom the norms do not speak."""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float64
from scipy.special import ndtr
from scipy.stats import norm

from hypojax.reason import Reason, RunError, visible
from hypojax.study.centiles.centile_fit import CentileFit, score_error
from hypojax.study.centiles.norms import EVERYBODY, curve_points
from hypojax.study.centiles.norms_transfer import Transfer, moved_scores, site_transfers
from hypojax.study.centiles.shash import quantile, score
from hypojax.study.formulas.design_record import design_from_text
from hypojax.study.people.grouping import CONTROL_NAMES
from hypojax.study.people.sample import Sample
from hypojax.study.people.whole_sample import Source, whole_sample
from hypojax.study.study_settings import StudySettings
from hypojax.tables import plain

SAME: Final = 1e-6
"""Relative difference of the curves in the file and those computed from its coefficients, from which the file is not trusted."""


OTHER_UNIT: Final = 5.0
"""Ratio of head sizes beyond which they are not in one unit."""


def apply_norms(
    norms: xr.Dataset, source: Source, *, transfer: Sequence[str] | Literal["controls"] | None = None, settings: StudySettings | None = None
) -> xr.Dataset:
    """Centile and z-score of each person and region.

    z is the argument of the normal distribution inside the SHASH, so that it stays finite where the centile is 0 or 100. Its interval holds
    what is not known of the norms (delta method) and of the transfer; it does not hold the error of the measured volume.

    Parameters
    ----------
    norms
        From `fit_norms`, or its file (`xarray.open_dataset`).
    source
        Dataset of `hypojax.open_cohort`, table, or sample, with volumes in the unit of the norms.
    transfer
        Scans of controls at each new site, or ``controls`` for all of the sample. The mean and SD of their z-scores are taken as those of
        the site's differences to the norms, and removed from all scans of the site. At least ten a site.
    settings
        How columns are found; its ``confidence``.

    Returns
    -------
    Dataset over (scan, region): ``z``, ``z_se``, ``z_low``, ``z_high``, ``centile`` with its interval (0 … 100), ``expected`` (median of
    people like this one) and ``volume``; over scan: ``extrapolated``, which is true where ``outside_age`` (of the trained people of this
    sex), ``outside_head_size`` or ``other_site`` is, and ``transfer_control``; over site: shift and scale of the transfer with errors.
    Where age, sex or head size is missing the scores are missing, and ``notes`` count that.

    Raises
    ------
    RunError
        ``USAGE``: no region in common, another unit, a sex that the norms do not know, or too few controls of a site.
    """
    settings = settings or StudySettings()
    _check_file(norms)
    sample = whole_sample(source, settings)
    regions = [str(region) for region in norms["region"].to_numpy() if region in sample.volumes["region"].to_numpy()]
    _check_sample(norms, sample, regions)
    people = sample.people
    if transfer == "controls":
        transfer = _control_scans(sample)
    location, scale = (_designed(norms, name, people) for name in ("location_design", "scale_design"))
    volumes = sample.volumes.sel(region=regions).to_numpy().astype(float)
    scores, errors, expected = (np.full(volumes.shape, np.nan) for _ in range(3))
    for column, region in enumerate(regions):
        fit = norms_fit(norms, region)
        usable = np.isfinite(volumes[:, column]) & np.isfinite(location).all(axis=1) & np.isfinite(scale).all(axis=1)
        here = fit.at(location[usable], scale[usable])
        scores[usable, column] = score(here, volumes[usable, column])
        errors[usable, column] = score_error(fit, location[usable], scale[usable], volumes[usable, column])
        expected[usable, column] = quantile(here, 0.5)
    transfers = site_transfers(scores, people, transfer) if transfer is not None else {}
    scores, errors, factor = moved_scores(scores, errors, people, transfers, confidence=settings.confidence)
    found = _scores(scores, errors, factor, norm.ppf((1 + settings.confidence) / 2))
    found |= {"expected": expected, "volume": volumes}
    dataset = xr.Dataset({name: (("scan", "region"), values) for name, values in found.items()})
    dataset = dataset.assign_coords(scan=people.index.to_numpy(object), region=np.array(regions, object))
    marks, notes = _marks(norms, people, transfers)
    controls = people.index.isin(list(transfer or ()))
    dataset = dataset.assign({name: ("scan", values) for name, values in {**marks, "transfer_control": controls}.items()})
    missing = int((~np.isfinite(location).all(axis=1) | ~np.isfinite(scale).all(axis=1)).sum())
    notes += [f"{missing} of {len(people)} scans have no scores, since age, sex or head size is missing"] * bool(missing)
    about = {"unit": norms.attrs["unit"], "confidence": settings.confidence, "notes": "\n".join([*sample.notes, *notes])}
    return _with_transfers(dataset, transfers, regions).assign_attrs(about)


def transfer_sentences(scores: xr.Dataset, regions: Sequence[str]) -> list[str]:
    """By what the norms were moved to each site, or that they were not.

    Parameters
    ----------
    scores
        From `apply_norms`.
    regions
        Those that are named.
    """
    said = []
    for site in scores["site"].to_numpy():
        one = scores.sel(site=site)
        of = [f"{region} {float(one['transfer_shift'].sel(region=region)):+.2f}" for region in regions]
        n = int(one["transfer_n"].max())
        moved = f"The norms were moved to site {site} by its {n} controls (their mean z before: {', '.join(of)})"
        own = "these controls now have a mean z of 0 and an SD of 1 by construction, which shows nothing"
        said.append(f"{moved}; intervals of z hold what that leaves unknown; {own}.")
    return said + [line for line in scores.attrs["notes"].splitlines() if line.startswith("sites that the norms do not know")]


def norms_fit(norms: xr.Dataset, region: str) -> CentileFit:
    """The fit of one region, with shape parameters that are free."""
    one = norms.sel(region=region)
    numbers = [float(one[name]) for name in ("epsilon", "delta", "log_likelihood")]
    location, log_scale, covariance = (one[name].to_numpy() for name in ("location", "log_scale", "covariance"))
    return CentileFit(location, log_scale, numbers[0], numbers[1], "shash", numbers[2], covariance, int(one["n"]))


def _control_scans(sample: Sample) -> list[str]:
    """Scans of controls; all with a group, where the only one has a usual name of controls."""
    groups = sample.people.get("group")
    if groups is not None and groups.nunique() == 1 and plain(str(groups.dropna().iloc[0])) in CONTROL_NAMES:
        return [str(scan) for scan in groups.dropna().index]
    controls = sample.controls()
    return [str(scan) for scan in sample.people.index[(sample.people["group"] == controls).to_numpy()]]


def _check_file(norms: xr.Dataset) -> None:
    """Refuse what is no norms, or whose coefficients give other curves here than where it was written."""
    if "hypojax_norms" not in norms.attrs:
        raise RunError(Reason.USAGE, "this Dataset is no norms; make one with `hypojax norms`")
    ages, head = norms["curve_age"].to_numpy(), float(norms["curve_icv"])
    for sex in norms["sex"].to_numpy():
        points = curve_points(ages, str(sex), head)
        location, scale = (design_from_text(norms.attrs[name]).at(points) for name in ("location_design", "scale_design"))
        for region in norms["region"].to_numpy():
            written = norms["curve"].sel(region=region, sex=sex).to_numpy()
            again = norms_fit(norms, region).at(location, scale)
            curves = np.stack([quantile(again, float(share)) for share in norms["share"].to_numpy()], axis=1)
            if not np.allclose(curves, written, rtol=SAME, atol=0):
                raise RunError(
                    Reason.USAGE, f"the norms of {region} give other curves than those in their file; it is damaged: make it again"
                )


def _check_sample(norms: xr.Dataset, sample: Sample, regions: Sequence[str]) -> None:
    """Refuse volumes that the norms do not speak of."""
    if not regions:
        known = ", ".join(map(str, norms["region"].to_numpy()))
        raise RunError(Reason.USAGE, f"the norms have no region of this table; they have {known}")
    unit, own = str(sample.volumes.attrs.get("units", "")), norms.attrs["unit"]
    if unit != own:
        raise RunError(Reason.USAGE, f"the volumes are in {unit or 'no unit'}, the norms in {own or 'no unit'}; name the unit with --unit")
    if not norms.attrs["with_head_size"] or "icv" not in sample.people:
        return
    head, usual = float(sample.people["icv"].median()), float(norms["curve_icv"])
    if max(head / usual, usual / head) > OTHER_UNIT:
        raise RunError(
            Reason.USAGE,
            f"head sizes are about {head:.4g}, those of the norms about {usual:.4g}: they are in another unit; give them in that one",
        )


def _designed(norms: xr.Dataset, name: str, people: pd.DataFrame) -> Float64[np.ndarray, "scan column"]:
    """The design of people; a row of NaN where something is missing."""
    design = design_from_text(norms.attrs[name])
    absent = [column for column in design.formula.names if column not in people]
    if absent:
        words = {"icv": "head size", "age": "age", "sex": "sex"}
        raise RunError(Reason.USAGE, f"the norms need {words[absent[0]]}, and no column of it was found; name it with --{absent[0]}")
    return design.at(people)


def _scores(scores: np.ndarray, errors: np.ndarray, factor: np.ndarray, usual: float) -> dict[str, np.ndarray]:
    """Scores and centiles with their intervals; ``factor`` is the quantile of t where there was a transfer."""
    half = np.where(np.isfinite(factor), factor, usual) * errors
    low, high = scores - half, scores + half
    z = {"z": scores, "z_se": errors, "z_low": low, "z_high": high}
    return z | {"centile": 100 * ndtr(scores), "centile_low": 100 * ndtr(low), "centile_high": 100 * ndtr(high)}


def _marks(
    norms: xr.Dataset, people: pd.DataFrame, transfers: dict[str, Transfer]
) -> tuple[dict[str, Bool[np.ndarray, " scan"]], list[str]]:
    """For whom the norms do not speak, and what is said of it."""
    sex = people["sex"].astype(str) if norms.attrs["with_sex"] else pd.Series(EVERYBODY, people.index)
    age = people["age"].to_numpy(float)
    low, high = (sex.map(norms[name].to_series()).to_numpy(float) for name in ("age_low", "age_high"))
    outside_age = (age < low) | (age > high)
    outside_head = np.zeros(len(people), bool)
    if norms.attrs["with_head_size"]:
        icv = people["icv"].to_numpy(float)
        outside_head = (icv < float(norms["icv_low"])) | (icv > float(norms["icv_high"]))
    trained = set(map(str, norms["site"].to_numpy()))
    other_site = np.zeros(len(people), bool)
    notes = []
    if "site" in people and trained:
        other_site = ~people["site"].astype(str).isin(trained | set(transfers)).to_numpy()
        shown = ", ".join(visible(str(site)) for site in sorted(set(people["site"].astype(str)[other_site])))
        notes += [f"sites that the norms do not know: {shown}; move the norms there by its controls (--transfer)"] * bool(other_site.any())
    elif not transfers:
        notes.append("the site is not known: the norms are taken as if these scans were of their sites")
    marks = {"outside_age": outside_age, "outside_head_size": outside_head, "other_site": other_site}
    return {**marks, "extrapolated": outside_age | outside_head | other_site}, notes


def _with_transfers(dataset: xr.Dataset, transfers: dict[str, Transfer], regions: Sequence[str]) -> xr.Dataset:
    """The transfer of each site, by region."""
    sites = np.array(list(transfers), object)
    for name in Transfer._fields:
        values = np.array([getattr(one, name) for one in transfers.values()], float).reshape(len(sites), len(regions))
        dataset[f"transfer_{name}"] = (("site", "region"), values)
    return dataset.assign_coords(site=sites)
