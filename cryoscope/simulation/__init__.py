"""Structures along a path -> particles with known truth."""
