"""Reasons for labels: written by a teacher, checked before anyone learns from them."""
