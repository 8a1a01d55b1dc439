"""
A group study from a table of any tool
======================================

Did the patients' hypothalamus shrink, corrected for head size, age and sex? ``hypojax study`` answers it for the folder of a run.
It takes a table of any other tool as well. Here 120 people are simulated whose truth is known: patients have **6 % less**.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hypojax.study import StudySettings, analyse

random = np.random.default_rng(1)
n = 120
people = pd.DataFrame(
    {
        "subject": [f"{number:03d}" for number in range(n)],
        "group": np.where(np.arange(n) % 2, "patient", "control"),
        "age": random.uniform(30, 70, n).round(1),
        "sex": random.choice(["F", "M"], n),
    }
)
people["icv"] = 1_450_000 * np.exp(random.normal(0, 0.08, n) + 0.06 * (people.sex == "M"))
truth = 900 * (people.icv / 1_450_000) ** 0.6 * (1 - 0.002 * (people.age - 50)) * np.where(people.group == "patient", 0.94, 1.0)
people["hypothalamus"] = truth * np.exp(random.normal(0, 0.06, n))
people.head()

# %%
# One call. Age, sex and head size are found by their usual names; the model is said.

study = analyse(people, settings=StudySettings(group="group", unit="mm3", region=("hypothalamus",)))
print(*study.notes, sep="\n")

# %%
# The answer, as it goes into a paper:

print(*study.answers, sep="\n\n")

# %%
# Every number is in one Dataset over region, term, contrast, quantity and method.

effects = study.effects[["estimate", "ci_low", "ci_high", "p", "n"]].sel(region="hypothalamus", term="group")
effects.to_dataframe().dropna(subset="estimate")[["estimate", "ci_low", "ci_high", "p", "n"]].round(4)

# %%
# The volumes as measured, against head size. The adjusted difference above compares people at the same head size, age and sex.

figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
for group, rows in people.groupby("group"):
    ax.scatter(rows.icv / 1000, rows.hypothalamus, s=12, alpha=0.7, label=group)
ax.set(title="Hypothalamus and head size, by group", xlabel="intracranial volume, mL", ylabel="hypothalamus, mm³")
ax.legend()
plt.show()
