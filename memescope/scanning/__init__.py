"""Scan folders, zips and lists of memes into verdicts: inputs, workers, policy, journal, results."""
