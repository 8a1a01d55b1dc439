"""
Pages to look at
================

``hypojax report`` draws a page for the cohort and one for each scan, which open offline. From Python you can ask first which
scans are doubtful, and why; and draw figures for a paper.
"""

from pathlib import Path

import matplotlib.pyplot as plt

import hypojax
from hypojax.reporting.doubts import doubt_order, find_doubts

cohort = hypojax.open_cohort("hypojax-demo/out")
doubts = find_doubts(cohort)
for scan in doubt_order(cohort, doubts):
    print(scan, *doubts[scan] or ["nothing to look at"], sep="\n    ")

# %%
# The pages of two scans, and of the cohort:

found = hypojax.report("hypojax-demo/out", out="hypojax-demo/pages", settings=hypojax.ReportSettings(scans=("sub-01", "sub-05"), jobs=1))
sorted(str(path) for path in Path("hypojax-demo/pages").rglob("*.html"))

# %%
# The sections of one scan with the outlines of its subunits. ``hypojax.plot.save`` writes SVG, and PNG of 300 dpi.

ax = hypojax.plot.outlines(cohort, "sub-01")
ax.figure.suptitle("sub-01: coronal sections with the outlines of the subunits")
plt.show()
