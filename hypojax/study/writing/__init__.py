"""A whole study, written: tables, page, figures."""
