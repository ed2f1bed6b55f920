"""Where results are kept: one SQLite journal for a scan."""
