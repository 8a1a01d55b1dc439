"""What a run will take, before it is started: time, memory and disk, from headers and a handful of scans sent down the real line."""

from hypojax.execute.plan.calibration import Calibration, Sample, calibrate
from hypojax.execute.plan.costs import Span
from hypojax.execute.plan.projection import Plan, plan
from hypojax.execute.plan.workers import Workers

__all__ = ["Calibration", "Plan", "Sample", "Span", "Workers", "calibrate", "plan"]
