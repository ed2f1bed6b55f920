"""The verbs of the command line, one module each. `memescope.cli` puts them together."""
