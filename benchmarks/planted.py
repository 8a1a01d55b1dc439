"""Is a planted difference found? A whole-head cohort with a known answer, from files through `hypojax run` to `hypojax study`.

    python benchmarks/planted.py [--people 40] [--difference -0.06] [--keep FOLDER]

Half of the people are patients. Everybody is the demonstration's scan, deformed round the hypothalamus and scaled as a whole: hypothalami
and heads differ between people as they do in a population, and those of patients are smaller by the planted share. Prints the planted
difference and the one that was found with its interval. Exit code 1 when the interval does not hold the planted one. About one second a
person on two cores, and a minute for the rest.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import hypojax
from hypojax import RunSettings
from hypojax.demonstration.scaled_heads import Subject, write_cohort
from hypojax.study import StudySettings, write_study

SPREAD_HYPOTHALAMUS = 0.06
"""Standard deviation of the logarithm of the hypothalamus's volume at equal head size."""

SPREAD_HEAD = 0.025
"""Standard deviation of the logarithm of a head's edge."""


def people(count: int, difference: float, *, seed: int) -> list[Subject]:
    """Controls and patients in turn. Both groups have the same sizes but for the planted difference; heads are of one's own."""
    random = np.random.default_rng(seed)
    sizes = np.exp(SPREAD_HYPOTHALAMUS * random.normal(size=(count + 1) // 2))
    heads = np.exp(SPREAD_HEAD * random.normal(size=count))
    found = []
    for number, head in enumerate(heads.tolist()):
        group, factor = ("patient", 1 + difference) if number % 2 else ("control", 1.0)
        found.append(Subject(f"{number + 1:02d}", group, float(sizes[number // 2]) * factor, head))
    return found


def with_ages(folder: Path, *, seed: int) -> None:
    """Ages and sexes beside the groups, which have nothing to do with the volumes."""
    table = pd.read_csv(folder / "participants.tsv", sep="\t")
    random = np.random.default_rng([seed, 1])
    table["age"] = random.uniform(20, 70, len(table)).round(1)
    table["sex"] = random.choice(["F", "M"], len(table))
    table.to_csv(folder / "participants.tsv", sep="\t", index=False)


def main() -> int:
    """Make, run, study, and hold the answer against the truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--difference", type=float, default=-0.06)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for scans, cohort and study, which are deleted otherwise")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        subjects = people(chosen.people, chosen.difference, seed=chosen.seed)
        scans = write_cohort(folder / "scans", subjects=subjects)
        with_ages(scans, seed=chosen.seed)
        hypojax.run(scans, folder / "out", settings=RunSettings(derivatives=False))
        result = write_study(folder / "out", out=folder / "study", settings=StudySettings(group="group"))
        print(*result.answers, sep="\n")
        effects = pd.read_csv(folder / "study" / "effects.tsv", sep="\t")
    row = effects.query("region == 'hypothalamus' and term == 'group' and quantity == 'percent'").iloc[0]
    print(f"planted: {chosen.difference:+.1%} at equal head size")
    print(f"found:   {row.estimate:+.1f} % ({row.ci_low:.1f} to {row.ci_high:.1f}), n {row.n:g}")
    return 0 if row.ci_low <= 100 * chosen.difference <= row.ci_high else 1


if __name__ == "__main__":
    sys.exit(main())
