"""What a scan leaves, derived from its verdicts: `report.html` for people, `results.jsonl` and `results.csv`."""

from memescope.report.info import ScanInfo
from memescope.report.page import write_report
from memescope.report.tables import write_csv, write_jsonl

__all__ = ["ScanInfo", "write_csv", "write_jsonl", "write_report"]
