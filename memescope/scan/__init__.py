"""Scan folders, zips and lists of memes into verdicts: journal, results, report."""

from memescope.scan.pipeline import ScanResult, scan
from memescope.scan.policy import Policy, Rule, load_policy

__all__ = ["Policy", "Rule", "ScanResult", "load_policy", "scan"]
