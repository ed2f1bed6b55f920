"""Fitting the starter: frozen packaged encoders, four experts, late fusion."""
