"""Knowing pictures again: hashes, duplicates, lists of known pictures, drawn memes."""
