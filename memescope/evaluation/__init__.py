"""Figures that can be trusted: metrics with intervals, calibration, abstention, baselines in the same run."""
