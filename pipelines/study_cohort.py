"""Compare the groups of a cohort step by step: who is in, the model, what it says, and what it could have shown.

    python pipelines/study_cohort.py out/ study/ --group group
    python pipelines/study_cohort.py volumes.tsv study/ --group diagnosis --formula "volume ~ diagnosis + age + sex + icv"

SOURCE is the folder of a run, or a table of volumes of any tool. STUDY receives what `hypojax study` writes: a page to read and to paste
from, tables, figures. For another model: `hypojax.study.compare` gives an xarray Dataset over region, term, contrast, quantity and method.
"""

import argparse
import sys

import hypojax
from hypojax.study import StudySettings, compare, read_sample, write_study


def main(source: str, study: str, *, group: str | None, formula: str | None) -> None:
    """Read, compare, print, write."""
    settings = StudySettings(group=group, formula=formula)
    sample = read_sample(source, settings)
    print(*(row.sentence for row in sample.flow), *sample.notes, sep="\n")
    effects = compare(sample, settings=settings)
    for region in effects["region"].values:
        table = effects.sel(region=region)[["estimate", "ci_low", "ci_high", "p"]].to_dataframe().dropna()
        print(region, table[["estimate", "ci_low", "ci_high", "p"]].round(4), sep="\n")
    written = write_study(source, out=study, settings=settings)
    print(*written.answers, *written.warnings, *written.paths, sep="\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare the groups of a cohort.")
    parser.add_argument("source", help="folder of a run, or a table")
    parser.add_argument("study", help="folder of the results")
    parser.add_argument("--group", help="column of the groups")
    parser.add_argument("--formula", help="model")
    try:
        main(**vars(parser.parse_args()))
    except hypojax.HypojaxError as error:
        sys.exit(str(error))
