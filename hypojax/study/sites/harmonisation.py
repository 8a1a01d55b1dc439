"""Volumes of several sites or scanners made comparable by ComBat (Johnson 2007; Fortin 2018), keeping what the covariates do.

The ten subunits and the intracranial volume are harmonised together; wholes are recomputed as the sums of their parts. The parameters hold
nothing about a person and can be applied to new scans of the same sites. Scans are taken as independent: of people with several scans, each
counts as one.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from hypojax.reason import Reason, RunError, visible
from hypojax.study.formulas.design import Design, build_design
from hypojax.study.formulas.design_record import design_from_text, design_text
from hypojax.study.formulas.formula import parse
from hypojax.study.formulas.terms import Factor, Formula, Term, ordered
from hypojax.study.people.sample import Sample
from hypojax.study.people.whole_sample import Source, whole_sample
from hypojax.study.sites.combat import LEAST_FEATURES, Combat, fit_combat, remove_sites, total_bic
from hypojax.study.sites.harmonised_features import features_of, recomputed
from hypojax.study.sites.site_checks import LEAST_AT_SITE, check_confounding, check_sites
from hypojax.study.study_settings import StudySettings

SMOOTH_DF: Final = (1, 2, 3, 4, 5)
"""Degrees of freedom that are tried for the natural spline of a smooth covariate; 1 is a straight line."""

USUAL: Final = ("group", "age", "sex")
"""Covariates that are kept where no formula is given. Head size is harmonised itself."""

KEEP_SITE: Final = (
    "keep the site among the terms of the model of harmonised volumes: without it, groups that are unequal over sites differ falsely"
)

BY_SITE: Final = ("gamma_hat", "delta_hat", "gamma_star", "delta_star", "scans")
BY_FEATURE: Final = ("grand_mean", "pooled_variance")
PRIORS: Final = ("gamma_bar", "tau_squared", "prior_a", "prior_b")


def harmonise(
    source: Source,
    formula: str | None = None,
    *,
    settings: StudySettings | None = None,
    empirical_bayes: bool = True,
    smooth: Sequence[str] = (),
) -> xr.Dataset:
    """Remove the differences between sites in location and scale, keeping what the covariates do.

    Each feature is fitted on the scans that have it; a missing volume stays missing. A scan without site or without a covariate is not
    harmonised: its volumes are missing in the result, and that is counted in ``notes``. Features that are the same in all scans stay as
    they are. With fewer than three features there is no empirical Bayes, which is said.

    A model of harmonised volumes keeps the site among its terms: without it, groups that are unequal over the sites differ falsely (Nygaard
    2016; measured with three sites and no effect: 9 to 13 % of tests at .05, 3 to 4 % with it).

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, table, or sample; with all ten subunits where there are any: the priors come from all features.
    formula
        What is kept, as in ``volume ~ group + age + sex``. Default: that of ``settings``, else group, age and sex, if there.
        Terms with the site or with the intracranial volume (where it is harmonised itself) are left out, which is said.
    settings
        ``site``, ``reference_site`` (its scans stay as they are), and how columns are found.
    empirical_bayes
        Shrink each site's shift and variance towards their mean over features.
    smooth
        Covariates that act by a natural spline, as in ``("age",)``; of 1 (a straight line) to 5 degrees of freedom those with the smallest
        BIC (Schwarz 1978), summed over features.

    Returns
    -------
    Dataset with ``volume`` (scan, region), ``harmonised`` (scan), ``site_of_scan`` (scan), and parameters over site, feature and covariate.

    Raises
    ------
    RunError
        ``USAGE``: one site, a site of fewer than five scans, a site that is one with a covariate, or no feature that varies.
    """
    settings = settings or StudySettings()
    sample = whole_sample(source, settings)
    people = sample.people
    site = _sites(people)
    regions = sample.volumes["region"].to_numpy()
    model, left_out = _kept_formula(formula or settings.formula, people, "icv" in regions)
    design, rows = _kept_design(model, smooth, sample, site)
    counts = site[rows].value_counts().sort_index()
    notes = [
        *sample.notes,
        *left_out,
        *design.notes,
        *check_sites(counts, settings.reference_site),
        *_without(rows),
        *_repeated(sample),
    ]
    check_confounding(site[rows].tolist(), tuple(counts.index), design.matrix[:, 1:], design.columns[1:])
    features, constant = features_of(sample.volumes[rows])
    notes += _features_said(features, constant, empirical_bayes)
    volumes = sample.volumes.sel(region=list(features)).to_numpy()[rows]
    empirical_bayes = empirical_bayes and len(features) >= LEAST_FEATURES
    parameters = _estimated(volumes, site[rows], design, features, reference=settings.reference_site, empirical_bayes=empirical_bayes)
    return _with_volumes(parameters.assign_attrs(unit=str(sample.volumes.attrs.get("units", ""))), sample, notes)


def _kept_design(model: Formula, smooth: Sequence[str], sample: Sample, site: pd.Series) -> tuple[Design, np.ndarray]:
    """The design of what is kept, and which scans are in it: those with a site and all covariates."""
    rows = site.notna().to_numpy()
    people, volumes = sample.people[rows], sample.volumes[rows]
    design = _curved(model, smooth, people, site[rows], volumes) if smooth else build_design(model, people)
    rows = rows.copy()
    rows[rows] = design.kept
    return design, rows


def _estimated(
    volumes: np.ndarray, site: pd.Series, design: Design, features: Sequence[str], *, reference: str | None, empirical_bayes: bool
) -> xr.Dataset:
    """Parameters over site and feature, with what is needed to apply them."""
    sites = tuple(sorted(set(site)))
    codes = pd.Categorical(site, categories=list(sites)).codes.astype(np.int64)
    _check_counts(volumes, codes, sites, features)
    number = None if reference is None else sites.index(reference)
    found = fit_combat(volumes, codes, design.matrix[:, 1:], sites=len(sites), empirical_bayes=empirical_bayes, reference=number)
    about = {"design": design_text(design), "reference_site": reference or "", "empirical_bayes": int(empirical_bayes)}
    return _parameters(found, sites, features, design).assign_attrs(**about, hypojax=version("hypojax"))


def apply_harmonisation(parameters: xr.Dataset, source: Source, *, settings: StudySettings | None = None) -> xr.Dataset:
    """Harmonise new scans of known sites with parameters that were estimated before.

    Parameters
    ----------
    parameters
        What `harmonise` gave back, or its file (`xarray.open_dataset`).
    source, settings
        As for `harmonise`; the new scans need the same features, covariates and unit.

    Returns
    -------
    As `harmonise`, with the volumes of the new scans and the old parameters.

    Raises
    ------
    RunError
        ``USAGE``: a site or category that the parameters do not know, a missing feature or covariate, or another unit.
    """
    sample = whole_sample(source, settings or StudySettings())
    known = tuple(map(str, parameters["site"].to_numpy()))
    strange = sorted(set(_sites(sample.people).dropna()) - set(known))
    if strange:
        raise RunError(
            Reason.USAGE,
            f"site {visible(strange[0])!r} is not among those that were harmonised ({', '.join(map(visible, known))}): its differences are "
            "not known; harmonise all scans together, or leave these out",
        )
    regions = set(sample.volumes["region"].to_numpy().tolist())
    if missing := [str(feature) for feature in parameters["feature"].to_numpy() if feature not in regions]:
        raise RunError(
            Reason.USAGE, f"the new scans have no volumes of {', '.join(missing)}, which was harmonised; give tables of the same regions"
        )
    unit = str(sample.volumes.attrs.get("units", ""))
    if unit != parameters.attrs["unit"]:
        raise RunError(
            Reason.USAGE,
            f"the new volumes are in {unit or 'no unit'}, the harmonised ones in {parameters.attrs['unit'] or 'no unit'}; give the unit",
        )
    kept = parameters.drop_vars(
        [name for name in parameters.variables if "scan" in parameters[name].dims or "region" in parameters[name].dims]
    )
    return _with_volumes(kept, sample, list(sample.notes))


def harmonised_sample(sample: Sample, found: xr.Dataset) -> Sample:
    """The sample with its harmonised volumes, and with the harmonised intracranial volume as covariate where there is one.

    Scans that were not harmonised have missing volumes. Uncertainties stay those of the measured volumes.

    Parameters
    ----------
    sample
        What was harmonised, or a part of its regions.
    found
        From `harmonise` or `apply_harmonisation`.
    """
    regions = [region for region in sample.volumes["region"].to_numpy().tolist() if region in found["region"].to_numpy()]
    volumes = found["volume"].sel(scan=sample.volumes["scan"].to_numpy(), region=regions).assign_attrs(sample.volumes.attrs)
    people = sample.people
    if "icv" in people and "icv" in found["region"].to_numpy():
        people = people.assign(icv=found["volume"].sel(region="icv", scan=people.index.to_numpy()).to_numpy())
    return replace(sample, volumes=volumes.reset_coords(drop=True), people=people, notes=tuple(found.attrs["notes"].splitlines()))


def combat_of(parameters: xr.Dataset) -> Combat:
    """The parameters as arrays over site and feature."""
    by_name = {name: parameters[name].to_numpy() for name in (*BY_SITE, "coefficients", *BY_FEATURE, *PRIORS)}
    return Combat(**by_name)


def _sites(people: pd.DataFrame) -> "pd.Series[str]":
    """Site of each scan as text; missing where it is not known."""
    if "site" not in people:
        raise RunError(Reason.USAGE, "no column of the site or scanner was found; name it with --site")
    site = people["site"]
    return site.astype(object).where(site.notna() & (site != ""), None).map(lambda one: None if one is None else str(one))


def _kept_formula(text: str | None, people: pd.DataFrame, with_icv: bool) -> tuple[Formula, list[str]]:
    """What is kept, with an intercept; and what is left out of it."""
    usual = [name for name in USUAL if name in people and people[name].notna().any()]
    asked = parse(text or f"volume ~ {' + '.join(usual) or '1'}")
    gone = [name for name in ("site", *(["icv"] if with_icv else [])) if name in asked.names]
    why = {"site": "its differences are what is removed", "icv": "the intracranial volume is harmonised itself"}
    kept = replace(asked.without(*gone), has_intercept=True)
    without_site = [KEEP_SITE] * bool(text and "site" not in asked.names)
    return kept, [*(f"terms with {name} are not among what is kept: {why[name]}" for name in gone), *without_site]


def _curved(model: Formula, smooth: Sequence[str], people: pd.DataFrame, site: pd.Series, volumes: xr.DataArray) -> Design:
    """The design with splines of the smooth covariates whose BIC is the smallest."""
    if strange := [name for name in smooth if Term((Factor(name),)) not in model.terms]:
        raise RunError(Reason.USAGE, f"{visible(strange[0])} cannot be smooth: it is not a term of what is kept, {visible(str(model))}")
    designs = []
    for df in SMOOTH_DF:
        terms = [
            Term((Factor(term.names[0], "spline", df),)) if term in [Term((Factor(name),)) for name in smooth] else term
            for term in model.terms
        ]
        designs.append(build_design(replace(model, terms=ordered(tuple(terms))), people))
    features, _ = features_of(volumes)
    values = volumes.sel(region=list(features)).to_numpy()
    indicators = pd.get_dummies(site).to_numpy(float)
    return min(designs, key=lambda design: total_bic(values[design.kept], np.hstack([indicators[design.kept], design.matrix[:, 1:]])))


def _without(rows: np.ndarray) -> list[str]:
    """How many scans are not harmonised."""
    count = int((~rows).sum())
    return [
        f"{count} of {len(rows)} scans are not harmonised, since their site or a covariate is missing; their volumes are missing"
    ] * bool(count)


def _repeated(sample: Sample) -> list[str]:
    """A note on people with several scans."""
    again = "subject" in sample.people and sample.people["subject"].dropna().duplicated().any()
    said = "some people have several scans: the differences between sites are estimated as if these were of different people"
    return [said] * bool(again)


def _features_said(features: Sequence[str], constant: Sequence[str], empirical_bayes: bool) -> list[str]:
    """Notes on what is harmonised; refuses where nothing is."""
    if not features:
        raise RunError(Reason.USAGE, "no region has volumes that vary; there is nothing to harmonise")
    notes = [f"not harmonised, since constant or without volumes: {', '.join(constant)}"] * bool(constant)
    few = empirical_bayes and len(features) < LEAST_FEATURES
    said = f"empirical Bayes needs {LEAST_FEATURES} features; with {len(features)} each was harmonised by itself; give all subunits"
    return [*notes, f"harmonised together: {', '.join(features)}", *([said] if few else [])]


def _check_counts(volumes: np.ndarray, codes: np.ndarray, sites: Sequence[str], features: Sequence[str]) -> None:
    """Refuse a feature of which a site has a few volumes only; none at all is fine."""
    for number, site in enumerate(sites):
        counts = pd.Series(np.isfinite(volumes[codes == number]).sum(axis=0), list(features))
        if len(few := counts[(counts > 0) & (counts < LEAST_AT_SITE)]):
            raise RunError(
                Reason.USAGE,
                f"site {visible(site)!r} has {few.iloc[0]} volumes of {few.index[0]}, and harmonisation needs {LEAST_AT_SITE} or more, or "
                "none; leave this region out",
            )


def _parameters(found: Combat, sites: Sequence[str], features: Sequence[str], design: Design) -> xr.Dataset:
    """Parameters with names."""
    dims = dict.fromkeys(BY_SITE, ("site", "feature")) | dict.fromkeys(BY_FEATURE, ("feature",)) | dict.fromkeys(PRIORS, ("site",))
    variables = {name: (of, getattr(found, name)) for name, of in {**dims, "coefficients": ("covariate", "feature")}.items()}
    names = {"site": list(sites), "feature": list(features), "covariate": list(design.columns[1:])}
    return xr.Dataset(variables, {name: np.array(values, object) for name, values in names.items()})


def _with_volumes(parameters: xr.Dataset, sample: Sample, notes: Sequence[str]) -> xr.Dataset:
    """The parameters with harmonised volumes of a sample."""
    sites = [str(site) for site in parameters["site"].to_numpy()]
    features = [str(feature) for feature in parameters["feature"].to_numpy()]
    site = _sites(sample.people)
    covariates = design_from_text(parameters.attrs["design"]).at(sample.people)[:, 1:]
    rows = site.notna().to_numpy() & np.isfinite(covariates).all(axis=1)
    codes = pd.Categorical(site[rows], categories=sites).codes.astype(np.int64)
    reference = parameters.attrs["reference_site"]
    number = sites.index(reference) if reference else None
    volumes = sample.volumes.astype(float).where(xr.DataArray(rows, dims="scan"))
    measured = sample.volumes.sel(region=features).to_numpy()[rows]
    changed = volumes.sel(region=features).to_numpy().copy()
    changed[rows] = remove_sites(combat_of(parameters), measured, codes, covariates[rows], reference=number)
    volumes.loc[{"region": features}] = changed
    whole = recomputed(volumes).assign_attrs(units=parameters.attrs["unit"])
    texts = site.where(rows, "").to_numpy(object)
    found = parameters.assign(volume=whole.transpose("scan", "region"), harmonised=("scan", rows), site_of_scan=("scan", texts))
    return found.assign_attrs(notes="\n".join(notes))
