"""Cryoscope: explore heterogeneity in cryo-EM data while the network trains."""

__version__ = "0.1.0"
