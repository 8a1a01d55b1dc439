"""Drawings of scans and cohorts for papers, with matplotlib (extra ``report``)."""
