"""Datasets as lists of `Meme`s under one taxonomy."""

from memescope.datasets.prepared import read_split, split_hash

__all__ = ["read_split", "split_hash"]
