"""Commands of the menus and the palette; they act on the viewer that is in front."""

from __future__ import annotations

from typing import Any

from napari import current_viewer
from napari.utils import notifications

from cryoscope.app.attachment import Attachment, attach
from cryoscope.session import RunStatus, actions

PLUGIN = "napari-cryoscope"
TITLES = {
    "project": "Project and training",
    "latent": "Latent space",
    "state": "State in the 3-D view",
    "trajectories": "Trajectories",
    "structure": "Structure",
    "checking": "Check against data",
    "runs": "Runs beside each other",
    "landscape": "Landscape of states",
    "log": "Log",
    "extensions": "Panels of extensions",
}
FIRST = ("project", "latent", "state")


def open_panels(names: tuple[str, ...] = FIRST, viewer: Any = None) -> Attachment:
    """Dock the panels that one needs first, each where it is in Cryoscope's own window."""
    viewer = viewer or current_viewer()
    attached = attach(viewer)
    docks = []
    for name in names:
        known = set(viewer.window.dock_widgets)
        dock, _widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLES[name])
        if dock.name not in known:
            attached.place(name, dock)
        docks.append(dock)
    for dock in reversed(docks):  # of those that share a place the first is seen
        dock.show()
        dock.raise_()
    return attached


def open_files() -> None:
    """Ask for files, and open them."""
    open_panels().view.panel("project").ask_files()


def open_run() -> None:
    """Ask for the folder of a run or a project, and open it."""
    open_panels().view.panel("project").ask_run()


def start_training() -> None:
    """Train on what is open."""
    session = open_panels(("project",)).session
    missing = actions.why_not_train(session)
    if missing:
        notifications.show_warning(missing)
    else:
        actions.start_training(session)


def pause_training() -> None:
    """Pause; or go on."""
    session = attach(current_viewer()).session
    if session.run is not None and session.run.status is RunStatus.RUNNING:
        actions.pause_training(session)
    else:
        actions.resume_training(session)


def stop_training() -> None:
    """Save a checkpoint and end the run."""
    actions.stop_training(attach(current_viewer()).session)


def export_selection() -> None:
    """Ask where, and write the particles of the active selection."""
    panel = open_panels(("latent",)).view.panel("selections")
    if panel.export.isEnabled():
        panel.ask_export()
    else:
        notifications.show_warning("Select particles in the latent space first")


def cancel_work() -> None:
    """Cancel every job in the background that can be; training is not among them."""
    session = attach(current_viewer()).session
    jobs = [job for job in session.jobs if job.cancellable]
    for name in dict.fromkeys(job.name for job in jobs):
        actions.cancel_job(session, name)
    if not jobs:
        notifications.show_info("Nothing to cancel; to end a training, stop it")


def show_log() -> None:
    """Show what has happened, at the last warning or error."""
    open_panels(("log",)).view.panel("log").show_last_problem()


def undo() -> None:
    """Undo the last change of a selection."""
    actions.undo(attach(current_viewer()).session)


def redo() -> None:
    """Do again what was undone."""
    actions.redo(attach(current_viewer()).session)


def fit_camera() -> None:
    """Look at the whole molecule."""
    attach(current_viewer()).view.napari_bridge.fit_camera()
