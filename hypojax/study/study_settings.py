"""Settings of a study: arguments of the library, options of ``hypojax study`` and part of its record."""

from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal

from tyro.conf import UseAppendAction

from hypojax.reason import Reason, RunError

HeadSize = Literal["covariate", "residual", "proportion", "power", "none"]


@dataclass(frozen=True)
class ColumnSettings:
    """Which columns and regions are taken: all that making norms asks for.

    Parameters
    ----------
    group
        Column that says who is a case and who a control. Default: a column with a usual name (group, diagnosis, dx, ...).
    cases
        Values of the group column that are cases, each compared by itself with all others together as controls. Default: all groups
        but the one with a usual name of controls (control, HC, healthy, ...). Norms are made of the controls.
    region
        Regions to analyse: names of regions, or hypothalamus (whole, left, right), subunits (the ten), all. Default: hypothalamus and icv.
    pheno
        Table of further columns, joined by subject (and session where it has one): TSV, CSV, Parquet, Excel, SPSS, Stata or SAS.
    site
        Column of the site or scanner. Default: a column with a usual name (site, scanner, center, ...).
    subject
        Column of the subject, for people with several scans; norms are made of the first of each.
    unit
        Unit of the volumes of a table made elsewhere: mm3, cm3 or mL.
    age
        Column of age in years. Default: a column with a usual name.
    sex
        Column of sex. Default: a column with a usual name (sex, gender).
    icv
        Column of head size. Default: the measured intracranial volume, or a column with a usual name (icv, eTIV, ...).
    strict_tables
        Refuse tables with faults; by default the faulty values are left out and named.
    """

    group: str | None = None
    cases: UseAppendAction[tuple[str, ...]] = ()
    region: tuple[str, ...] = ("hypothalamus", "icv")
    pheno: str | None = None
    site: str | None = None
    subject: str | None = None
    unit: Literal["mm3", "cm3", "mL"] | None = None
    age: str | None = None
    sex: str | None = None
    icv: str | None = None
    strict_tables: bool = False

    def as_study(self) -> "StudySettings":
        """The same as settings of a study, in which the others have their defaults.

        >>> ColumnSettings(unit="mL").as_study().unit
        'mL'
        """
        return StudySettings(**{each.name: getattr(self, each.name) for each in fields(ColumnSettings)})


@dataclass(frozen=True)
class StudySettings(ColumnSettings):
    """Settings of a study, beside those of columns and regions.

    Parameters
    ----------
    formula
        Model, such as "volume ~ group + age + sex + icv". Default: volume ~ group + age + sex + icv, plus site where there are several;
        a term without a column is left out, and that is said.
    head_size
        How volumes are corrected for head size: covariate in the model, residual of the regression on head size in controls, proportion,
        power (proportion of head size to the power estimated in controls), or none.
    harmonise
        Remove differences between sites by ComBat before the model, keeping the effects of the terms of the formula.
    reference_site
        Site whose volumes stay as they are in the harmonisation. Default: the mean of all sites, weighted by their size.
    change
        Column of time in years, or `time` to take it from acq_time or age: analyse the change per year of each subject.
    permutations
        Number of permutations for family-wise p-values; 0: none.
    equivalence
        Bound of the equivalence test, mm3 (of the change: mm3 a year): is the group difference smaller than this?
    norms
        Norms file made by `hypojax norms`: centiles and z-scores of every person are added.
    transfer
        Move the norms to each site by the z-scores of its controls, ten or more; without it they count as people of the sites of the norms.
    confidence
        Coverage of the intervals.
    weights
        Weigh each scan by 1 / its uncertainty², as segmented (volume_uncertainty_mm3), in linear models.
    seed
        Of permutations.
    """

    formula: str | None = None
    head_size: HeadSize = "covariate"
    harmonise: bool = False
    reference_site: str | None = None
    change: str | None = None
    permutations: int = 0
    equivalence: float | None = None
    norms: str | None = None
    transfer: bool = False
    confidence: float = 0.95
    weights: bool = False
    seed: int = 0


def check_settings(settings: StudySettings) -> None:
    """Refuse numbers that no study can be made with, before anything is read.

    Raises
    ------
    RunError
        ``USAGE``: the option, the value, and what it has to be.

    Examples
    --------
    >>> check_settings(StudySettings(confidence=95.0))
    Traceback (most recent call last):
    hypojax.reason.RunError: --confidence 95: give a share between 0 and 1, such as 0.95
    """
    if not 0 < settings.confidence < 1:
        raise RunError(Reason.USAGE, f"--confidence {settings.confidence:g}: give a share between 0 and 1, such as 0.95")
    for name, number in (("permutations", settings.permutations), ("seed", settings.seed)):
        if number < 0:
            raise RunError(Reason.USAGE, f"--{name} {number}: give 0 or a whole number above it")
    if settings.equivalence is not None and not (isfinite(settings.equivalence) and settings.equivalence > 0):
        raise RunError(Reason.USAGE, f"--equivalence {settings.equivalence:g}: give a number above 0 in the unit of the volumes")
