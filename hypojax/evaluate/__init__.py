"""How good label maps are against a reference: pairs, scores, summaries, and their history."""

from hypojax.evaluate.evaluation import compare
from hypojax.evaluate.metric import METRICS
from hypojax.evaluate.score import score_mask, score_pair

__all__ = ["METRICS", "compare", "score_mask", "score_pair"]
