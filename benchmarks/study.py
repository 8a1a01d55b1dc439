"""Population statistics at scale: models, effect sizes, FDR and permutations of all regions, beside statsmodels in a loop and nilearn.

    python benchmarks/study.py [--scans 100000] [--permutations 10000] [--subset 2000]

People are simulated: two groups, age, sex, head size and years of education, 14 regions, variances that differ between the groups. Each
step prints its seconds, and the memory that the process has held at most so far. statsmodels (all people) and nilearn (a subset) do the
same where they are installed, and their numbers are held against ours.
"""

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from figures import machine

from hypojax.schema import REGIONS
from hypojax.study.models.group_model import ModelComparison, compare_models
from hypojax.study.models.permutation import freedman_lane
from hypojax.study.people.sample import Sample, read_sample
from hypojax.study.study_settings import StudySettings

FORMULA = "volume ~ group + age + sex + icv + education"

AGREEMENT = 1e-7
"""Largest relative difference to statsmodels."""

OTHERS = ("scipy", "pandas", "statsmodels", "nilearn")


def people(scans: int, *, seed: int = 0) -> pd.DataFrame:
    """A wide table: a row a person."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({
        "participant_id": np.char.add("sub-", np.arange(scans).astype(str)),
        "group": random.choice(["control", "patient"], scans, p=[0.7, 0.3]),
        "age": random.uniform(18, 85, scans), "sex": random.choice(["F", "M"], scans), "education": random.normal(14, 3, scans),
    })  # fmt: skip
    head = random.normal(1.45e6, 1.2e5, scans)
    noise = random.normal(size=(scans, len(REGIONS))) * np.where(table["group"] == "patient", 1.5, 1.0)[:, None]
    mean = 60 + 4e-5 * (head - 1.45e6) - 0.1 * table["age"].to_numpy()
    volumes = pd.DataFrame(mean[:, None] + 6 * noise - 1.0 * (table["group"] == "patient").to_numpy()[:, None], columns=list(REGIONS))
    return table.join(volumes.assign(icv=head))


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds of a step, and the peak of memory up to now."""
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.perf_counter() - start:.1f} s (peak memory so far {peak:.2f} GB)", flush=True)


def ours(table: pd.DataFrame, *, permutations: int, regions: tuple[str, ...] = ("all",)) -> tuple[Sample, Callable[[], ModelComparison]]:
    """A sample, and its comparison."""
    settings = StudySettings(region=regions, formula=FORMULA, permutations=permutations, unit="mm3")
    sample = read_sample(table, settings)
    return sample, lambda: compare_models(sample, settings)


def beside_statsmodels(table: pd.DataFrame, found: ModelComparison) -> None:
    """HC3 of every region in a loop, held against ours."""
    import statsmodels.formula.api as smf

    effects = {effect.region: effect for effect in found.effects if (effect.term, effect.quantity) == ("group", "difference")}
    with timed(f"statsmodels, {len(table):,} scans, {len(effects)} regions in a loop, HC3"):
        for region, effect in effects.items():
            covariates = "age + sex + education" + ("" if region == "icv" else " + icv")
            fit = smf.ols(f"{region} ~ C(group) + {covariates}", table).fit(cov_type="HC3", use_t=True)
            for theirs, mine in ((fit.params, effect.estimate), (fit.bse, effect.se)):
                assert abs(float(theirs["C(group)[T.patient]"]) / mine - 1) < AGREEMENT, region


def beside_nilearn(table: pd.DataFrame, permutations: int) -> None:
    """Family-wise p of thirteen regions, ours and nilearn's."""
    from nilearn.mass_univariate import permuted_ols

    regions = [region for region in REGIONS if region != "icv"]
    covariates = np.column_stack([table["age"], table["sex"] == "M", (table["icv"] - 1.45e6) / 1e5, table["education"]]).astype(float)
    group = (table["group"] == "patient").to_numpy(float)[:, None]
    with timed(f"nilearn permuted_ols, {len(table):,} scans, {len(regions)} regions, {permutations:,} permutations"):
        theirs: Any = permuted_ols(
            group, table[regions].to_numpy(float), covariates, n_perm=permutations, random_state=0, n_jobs=1, output_type="dict"
        )
    design = np.column_stack([np.ones(len(table)), group, covariates])
    with timed(f"ours, the same, all regions as one family ({len(table):,} scans)"):
        found = freedman_lane(design, table[regions].to_numpy(float), np.eye(design.shape[1])[1], permutations=permutations)
    p = 10.0 ** -np.ravel(theirs["logp_max_t"])
    chance = 4 * np.sqrt(2 * np.maximum(p * (1 - p), 1 / permutations) / permutations)
    off = np.abs(found.p_fwer - p)
    said = "within" if (off <= chance).all() else "beyond"
    print(f"family-wise p, one family: largest difference {off.max():.3f}, {said} four standard errors of chance")
    print("a study has two families, wholes and subunits, so that its family-wise p is smaller")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=100_000)
    parser.add_argument("--permutations", type=int, default=10_000)
    parser.add_argument("--subset", type=int, default=2_000)
    chosen = parser.parse_args()
    installed = {name: version(name) for name in OTHERS if importlib.util.find_spec(name)}
    print(machine(), installed)
    table = people(chosen.scans)
    with timed(f"table of {chosen.scans:,} scans read"):
        _, compare = ours(table, permutations=0)
    with timed(f"models, effect sizes and FDR, {chosen.scans:,} scans x {len(REGIONS)} regions, 5 covariates"):
        found = compare()
    _, permuted = ours(table, permutations=chosen.permutations)
    with timed(f"the same with {chosen.permutations:,} permutations"):
        permuted()
    if "statsmodels" in installed:
        beside_statsmodels(table, found)
    if "nilearn" in installed:
        beside_nilearn(table.iloc[: chosen.subset], min(chosen.permutations, 1_000))


if __name__ == "__main__":
    main()
