"""Formulas, and the design matrices that they give."""
