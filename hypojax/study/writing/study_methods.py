"""Methods of a study in words: paragraphs to paste with versions, references of what was used, and limits."""

from importlib import metadata
from typing import Final

import pandas as pd

from hypojax.study.models.anova import WHOLE
from hypojax.study.models.exchange import ALWAYS_ALL
from hypojax.study.writing.study_findings import Findings
from hypojax.study.writing.wording import listed

SOFTWARE: Final = ("hypojax", "numpy", "scipy", "pandas", "xarray")

REFERENCES: Final = {
    "HC3": "MacKinnon JG, White H (1985). Some heteroskedasticity-consistent covariance matrix estimators with improved finite sample "
    "properties. J Econom 29: 305-325. Long JS, Ervin LH (2000). Using heteroscedasticity consistent standard errors in the linear "
    "regression model. Am Stat 54: 217-224.",
    "clustered": "Bell RM, McCaffrey DF (2002). Bias reduction in standard errors for linear regression with multi-stage samples. Surv "
    "Methodol 28: 169-181. Cameron AC, Miller DL (2015). A practitioner's guide to cluster-robust inference. J Hum Resour 50: 317-372.",
    "mixed": "Laird NM, Ware JH (1982). Random-effects models for longitudinal data. Biometrics 38: 963-974. Satterthwaite FE (1946). An "
    "approximate distribution of estimates of variance components. Biometrics Bull 2: 110-114.",
    "permutation": "Freedman D, Lane D (1983). A nonstochastic interpretation of reported significance levels. J Bus Econ Stat 1: 292-298. "
    "Winkler AM et al. (2014). Permutation inference for the general linear model. NeuroImage 92: 381-397.",
    "FDR": "Benjamini Y, Hochberg Y (1995). Controlling the false discovery rate. J R Stat Soc B 57: 289-300.",
    "hedges_g": "Hedges LV (1981). Distribution theory for Glass's estimator of effect size and related estimators. J Educ Stat 6: "
    "107-128.",
    "balance": "Austin PC (2009). Balance diagnostics for comparing the distribution of baseline covariates between treatment groups. Stat "
    "Med 28: 3083-3107.",
    "ComBat": "Johnson WE, Li C, Rabinovic A (2007). Adjusting batch effects in microarray expression data using empirical Bayes methods. "
    "Biostatistics 8: 118-127. Fortin JP et al. (2018). Harmonization of cortical thickness measurements across scanners and sites. "
    "NeuroImage 167: 104-120.",
    "head_size": "O'Brien LM et al. (2011). Statistical adjustments for brain size in volumetric neuroimaging studies. Psychiatry Res "
    "Neuroimaging 193: 113-122. Voevodskaya O et al. (2014). The effects of intracranial volume adjustment approaches on multiple regional "
    "MRI volumes in healthy aging and Alzheimer's disease. Front Aging Neurosci 6: 264.",
    "norms": "Jones MC, Pewsey A (2009). Sinh-arcsinh distributions. Biometrika 96: 761-780.",
    "TOST": "Schuirmann DJ (1987). A comparison of the two one-sided tests procedure and the power approach for assessing the equivalence "
    "of average bioavailability. J Pharmacokinet Biopharm 15: 657-680.",
    "subunits": "Bocchetta M et al. (2015). Detailed volumetric analysis of the hypothalamus in behavioral variant frontotemporal "
    "dementia. J Neurol 262: 2635-2642. Billot B et al. (2020). Automated segmentation of the hypothalamus and associated subunits in "
    "brain MRI. NeuroImage 223: 117287.",
}  # fmt: skip
"""What was used → where it comes from."""

LIMITS: Final = (
    "A p-value above .05 does not show that there is no difference: read the interval, and what could have been shown.",
    "Groups that were not assigned by chance may differ in what was not measured: a difference is no proof that the disease made it.",
    "Volumes are those of automated segmentation: an error that goes with the group (motion, contrast, scanner) looks like a difference.",
    "Report all regions and models that were looked at, also those that gave nothing; what was chosen after looking is exploratory.",
)


def versions(extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Versions of the software that made the numbers.

    >>> sorted(versions())
    ['hypojax', 'numpy', 'pandas', 'scipy', 'xarray']
    """
    return {name: metadata.version(name) for name in (*SOFTWARE, *extra)}


def used(found: Findings) -> list[str]:
    """Keys of `REFERENCES` whose methods this study used."""
    method = " ".join(dict.fromkeys(found.effects["method"].astype(str)))
    quantities = set(found.effects["quantity"])
    marks = {
        "HC3": "HC3" in method,
        "clustered": "clustered" in method,
        "mixed": "mixed" in method,
        "permutation": bool(found.settings.permutations),
        "FDR": bool(found.effects["p_fdr"].notna().any()),
        "hedges_g": bool(quantities & {"hedges_g", "hedges_g_adjusted"}),
        "balance": not found.table("balance").empty,
        "ComBat": "ComBat" in method or found.settings.harmonise,
        "head_size": not found.table("head_size").empty,
        "norms": found.settings.norms is not None,
        "TOST": found.settings.equivalence is not None,
        "subunits": any(str(region).startswith(("left_", "right_")) or "hypothalamus" in str(region) for region in found.effects["region"]),
    }
    return [name for name, is_used in marks.items() if is_used]


def references(found: Findings) -> list[str]:
    """Where the methods of this study come from."""
    return [REFERENCES[name] for name in used(found)]


def methods(found: Findings) -> list[str]:
    """The methods section: people and model, tests, software."""
    return [_model(found), _tests(found), _software(found)]


def limits(found: Findings) -> list[str]:
    """What this study cannot say."""
    said = list(LIMITS)
    smallest = min(found.counts.values(), default=0) if found.contrasts else 0
    if 0 < smallest < 10:
        said.insert(0, f"The smallest group has {smallest} people: intervals and p-values depend on residuals being normal.")
    if found.effects["unit"].eq("").any():
        said.insert(0, "The unit of the volumes is not known: give --unit; percents and g do not depend on it.")
    return said


def _model(found: Findings) -> str:
    n = found.effects["n"] if len(found.effects) else pd.Series([len(found.sample.people)])
    scans = f"{n.max():,}" if n.nunique() == 1 else f"{n.min():,} to {n.max():,}"
    who = "people" if found.settings.change else "scans"
    sizes = ", ".join(f"{name} n = {count:,}" for name, count in found.counts.items())
    groups = (
        f" ({'region by region, at most ' if n.nunique() > 1 else ''}{sizes}{', in people' if found.is_repeated else ''})" if sizes else ""
    )
    weights = _weights(found)
    what = f"Volumes were measured with {weights}. " if weights else ""
    head = " ".join(found.remarks.get("head_size", ()))
    return f"{what}The model {found.formula} was fitted to {scans} {who}{groups}. {head}".strip()


def _weights(found: Findings) -> str:
    """The software and networks that measured, where the cohort says so."""
    attributes = found.sample.volumes.attrs
    version, weights = attributes.get("hypojax_version"), attributes.get("weights_sha256")
    named = f" (weights {str(weights)[:12]})" if weights else ""
    return f"hypojax {version}{named}" if version else ""


def _tests(found: Findings) -> str:
    method = listed(dict.fromkeys(found.effects["method"].astype(str)))
    is_log = "log volume" in method
    said = [f"Tests: {method}, two-sided."]
    if "HC3" in method:
        said.append("Errors are robust against unequal variances (HC3); t has n - p degrees of freedom.")
    if "clustered" in method:
        said.append("Errors are robust and clustered by subject (CR3); t has Satterthwaite's degrees of freedom (Bell and McCaffrey 2002).")
    if "weighted" in method:
        said.append("Scans are weighted by 1 / (standard uncertainty of the volume)².")
    if is_log and "percent" in set(found.effects["quantity"]):
        said.append("Percent: 100 (exp(b) - 1) of the coefficient b, a ratio of geometric means.")
    elif "percent" in set(found.effects["quantity"]):
        said.append(
            "Percent: of the mean of the controls, adjusted with equal weights of the levels of factors, its error included (delta method)."
        )
    if "hedges_g_adjusted" in set(found.effects["quantity"]):
        said.append(
            "Adjusted Hedges' g: the coefficient over the residual standard deviation, times the exact correction for small samples; "
            "intervals of g (noncentral t) take the variances of the groups as equal."
        )
    if WHOLE in set(found.effects["quantity"]):
        said.append("Terms of several coefficients were tested as a whole by F, each given all terms that do not contain it (Type II).")
    if found.effects["p_fdr"].notna().any():
        said.append("p-values were corrected over regions by the false discovery rate, wholes and subunits apart.")
    if found.settings.permutations:
        said.append(
            f"Family-wise p-values come from {found.settings.permutations:,} permutations of residuals (seed {found.settings.seed}), "
            f"or from all where there are at most {ALWAYS_ALL:,}."
        )
    return " ".join(said)


def _software(found: Findings) -> str:
    return f"Software: {', '.join(f'{name} {version}' for name, version in found.versions.items())}."
