"""
Norms: where does one person lie?
=================================

Centiles of a reference group by age and sex, with head size; then a centile and a z-score for other people. The reference is
simulated here: 400 people whose volume falls with age. A centile is a finding of research, and no diagnosis.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from hypojax.study import StudySettings, apply_norms, fit_norms


def simulated(n: int, *, seed: int, factor: float = 1.0) -> pd.DataFrame:
    """People with a known relation of volume, age, sex and head size."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {"subject": [f"{seed}-{number}" for number in range(n)], "age": random.uniform(20, 80, n), "sex": random.choice(["F", "M"], n)}
    )
    table["icv"] = 1_450_000 * np.exp(random.normal(0, 0.08, n) + 0.06 * (table.sex == "M"))
    mean = 950 * factor * (table.icv / 1_450_000) ** 0.6 * (1 - 0.00004 * (table.age - 20) ** 2)
    table["hypothalamus"] = mean * np.exp(random.normal(0, 0.07, n))
    return table


settings = StudySettings(unit="mm3", region=("hypothalamus",))
reference = simulated(400, seed=1)
norms = fit_norms(reference, settings=settings)

# %%
# Is it calibrated? In every band of age about 5 % of the reference should lie outside ±1.96.

norms

# %%
# New people: five like the reference, and five whose hypothalamus is 20 % smaller.

new = pd.concat([simulated(5, seed=2), simulated(5, seed=3, factor=0.8)], ignore_index=True)
scores = apply_norms(norms, new, settings=settings).sel(region="hypothalamus")
found = new.assign(centile=scores.centile.values.round(1), z=scores.z.values.round(2))
found[["subject", "age", "sex", "hypothalamus", "centile", "z"]].round(1)

# %%
# People of the reference, and the new ones:

figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.scatter(reference.age, reference.hypothalamus, s=6, color="0.7", label="reference")
points = ax.scatter(
    new.age, new.hypothalamus, c=found.centile, cmap="viridis", vmin=0, vmax=100, s=40, edgecolor="black", label="new people"
)
figure.colorbar(points, label="centile")
ax.set(title="New people among the reference", xlabel="age, years", ylabel="hypothalamus, mm³")
ax.legend()
plt.show()
