"""Sample data: adenylate kinase closed and open, and the demo that trains on its motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari import current_viewer

from cryoscope.app.attachment import DEMO_FOLDER
from cryoscope.app.napari_bridge import surface_data, units_beside
from cryoscope.io.resources import resource_path
from cryoscope.io.structures import read_structure
from cryoscope.session import actions
from cryoscope.session.demo import CLOSED, OPEN
from cryoscope.session.shown import shown_structure
from napari_cryoscope.commands import open_panels


def states() -> list[tuple[Any, ...]]:
    """Backbones of the two ends of the motion."""
    return [
        _backbone(CLOSED, "adenylate kinase, closed (1AKE)", "bop blue"),
        _backbone(OPEN, "adenylate kinase, open (4AKE)", "bop orange"),
    ]


def demo() -> list[tuple[Any, ...]]:
    """Simulate the demo's particles, open them in the panels and train; the closed end, hidden."""
    actions.start_demo(open_panels().session, Path.cwd() / DEMO_FOLDER)
    data, attributes, kind = _backbone(CLOSED, "adenylate kinase, closed (1AKE)", "bop blue")
    return [(data, {**attributes, "visible": False}, kind)]


def _backbone(name: str, title: str, colours: str) -> tuple[Any, ...]:
    path = resource_path(name)
    mesh = shown_structure(read_structure(path), path).backbone
    attributes = {
        "name": title,
        "colormap": colours,
        "contrast_limits": (0.0, 1.0),
        "shading": "smooth",
        "units": units_beside(current_viewer()),
    }
    vertices, faces, values = surface_data(mesh)
    return (vertices, faces, values * 0 + 1), attributes, "surface"
