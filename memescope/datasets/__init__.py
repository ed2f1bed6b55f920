"""Datasets as lists of `Meme`s under one taxonomy."""

from memescope.datasets.prepared import has_split, read_split, split_hash, splits_of, spread

__all__ = ["has_split", "read_split", "split_hash", "splits_of", "spread"]
