"""How good label maps are against a reference: pairs, scores, summaries, and their history."""

from hypojax.evaluate.evaluation import ScanScores, compare, tabulate
from hypojax.evaluate.files import write_evaluation
from hypojax.evaluate.history import read_history, record
from hypojax.evaluate.metric import METRICS
from hypojax.evaluate.score import score_mask, score_pair
from hypojax.evaluate.summary import SUMMARY, summarise

__all__ = [
    "METRICS",
    "SUMMARY",
    "ScanScores",
    "compare",
    "read_history",
    "record",
    "score_mask",
    "score_pair",
    "summarise",
    "tabulate",
    "write_evaluation",
]
