"""The sample of what is fitted over many regions at once: harmonisation and norms take all regions, whatever a study shows."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd
import xarray as xr

from hypojax.schema import REGIONS
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

Source = xr.Dataset | pd.DataFrame | Sample | str | Path
"""What a study is made of."""

EVERY: Final = "all"

OURS: Final = frozenset({*REGIONS, "subunits", EVERY})


def whole_sample(source: Source, settings: StudySettings) -> Sample:
    """The sample with all regions of a cohort; of a table with other regions, those that the settings name.

    Parameters
    ----------
    source
        Dataset of `hypojax.open_cohort`, table or its file, output of a run; a sample is given back as it is.
    settings
        How columns are found; regions count only where they are no regions of hypojax.
    """
    if isinstance(source, Sample):
        return source
    ours = OURS.issuperset(settings.region)
    return read_sample(source, replace(settings, region=(EVERY,)) if ours else settings)
