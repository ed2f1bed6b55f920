"""The public datasets, one small module each: `SOURCE` in `memescope/datasets/sources/NAME.py`."""
