"""The widgets of the manifest: holders of the panels that Cryoscope's own window has too."""

from __future__ import annotations

from typing import Any

from cryoscope.app.attachment import PanelHolder


class ProjectWidget(PanelHolder):
    """What is open, and training."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "project")


class LatentWidget(PanelHolder):
    """The particles in latent space, and selections of them."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "latent")


class StateWidget(PanelHolder):
    """Contour, colours and visibility of the state in the 3-D view."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "state")


class TrajectoriesWidget(PanelHolder):
    """Ways through latent space, played and exported."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "trajectories")


class StructureWidget(PanelHolder):
    """Sequence and motion per residue."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "structure")


class CheckingWidget(PanelHolder):
    """A selection reconstructed from its images, compared with the rest."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "checking")


class RunsWidget(PanelHolder):
    """Losses, settings and latents of several runs."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "runs")


class LogWidget(PanelHolder):
    """What has happened: actions, messages and work, to be copied and saved."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "log")


class ExtensionsWidget(PanelHolder):
    """Panels of other distributions, each as a tab."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "extensions")


class LandscapeWidget(PanelHolder):
    """The states of a run, by how alike their volumes are."""

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer, "landscape")
