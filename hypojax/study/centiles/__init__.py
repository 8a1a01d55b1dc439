"""Norms: centile curves by age and sex, and where a person lies on them."""
