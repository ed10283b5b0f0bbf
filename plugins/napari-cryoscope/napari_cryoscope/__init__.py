"""Cryoscope's panels, readers, writers and demo as a napari plugin; see ``napari.yaml``."""
