"""How good label maps are against a reference: pairs, scores, summaries, and their history."""

from hypojax.evaluation.archive import read_history, record, write_evaluation
from hypojax.evaluation.evaluation import Evaluation, EvaluationCallback, ScanScores, compare, evaluate, tabulate
from hypojax.evaluation.scores import METRICS, score_mask, score_pair
from hypojax.evaluation.summary import SUMMARY, summarise

__all__ = [
    "METRICS",
    "SUMMARY",
    "Evaluation",
    "EvaluationCallback",
    "ScanScores",
    "compare",
    "evaluate",
    "read_history",
    "record",
    "score_mask",
    "score_pair",
    "summarise",
    "tabulate",
    "write_evaluation",
]
