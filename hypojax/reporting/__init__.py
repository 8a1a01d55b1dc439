"""What a cohort looks like: its report of HTML pages, the pages of its scans, and what people said of them."""
