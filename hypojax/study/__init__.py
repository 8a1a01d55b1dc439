"""Population statistics: from a cohort's volumes to the answer, Dataset in and Dataset out.

Volumes of people, a formula as a design matrix, models of all regions at once, and what is reported of them: effects with intervals
(`hypojax.study.effect`), written as tables, a text and figures by ``hypojax study``.
"""
