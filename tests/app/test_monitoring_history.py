"""Evaluations over time: a fall beyond both intervals is said, one without intervals is drawn and claims nothing."""

import pandas as pd

from hypojax.app.monitoring_history import MonitoringHistory, evaluations_svg

NAN = float("nan")


def test_evaluations_are_told_in_sentences_rows_and_a_plot() -> None:
    dates = pd.to_datetime(["2025-01-01", "2026-01-01"] * 2, utc=True)
    numbers = {"dice": [0.9, 0.8, 0.95, 0.96], "dice_low": [0.88, 0.78, 0.94, NAN], "dice_high": [0.92, 0.82, 0.96, NAN]}
    about = {"reference": "manual", "region": ["hypothalamus"] * 2 + ["icv"] * 2, "weights_box_sha256": "ab" * 32, "scored": 20}
    trend = pd.DataFrame({"date": dates, **about, **numbers, "bias_mm3": [1.0, 2.0, 3.0, 4.0]})
    found = MonitoringHistory(trend, (), None)
    assert found.rows[0][5] == "0.900 (0.880 to 0.920)"
    assert "hypothalamus fell from 0.900 to 0.800 since 2025-01-01, beyond both intervals" in " ".join(found.changed)
    assert "intracranial" in " ".join(found.steady)
    drawn = evaluations_svg(trend, date="Date")
    assert drawn.startswith(b"<?xml")
    assert drawn != evaluations_svg(trend.iloc[:2], date="Date")
