"""The verbs: everything that a window, a script or a notebook can do to a session.

No verb waits (but ``wait`` and ``close``): slow work goes on in the background and shows in
``session.jobs``. No verb raises for bad input: it is reported in ``session.notice``.
"""

from __future__ import annotations

from cryoscope.session.demo import start_demo
from cryoscope.session.exporting import export_selection, export_trajectory
from cryoscope.session.forms import FormField, form_fields
from cryoscope.session.opening import open_files, open_run
from cryoscope.session.run_control import (
    cancel_job,
    choose_preset,
    close,
    pause_training,
    resume_training,
    set_option,
    start_training,
    stop_training,
    wait,
    why_not_train,
)
from cryoscope.session.selecting import (
    activate_selection,
    count_lasso,
    lasso,
    move_cursor,
    redo,
    remove_selection,
    rename_selection,
    set_iso_sigma,
    undo,
)
from cryoscope.training.presets import preset_names, preset_summary

__all__ = [
    "FormField",
    "activate_selection",
    "cancel_job",
    "choose_preset",
    "close",
    "count_lasso",
    "export_selection",
    "export_trajectory",
    "form_fields",
    "lasso",
    "move_cursor",
    "open_files",
    "open_run",
    "pause_training",
    "preset_names",
    "preset_summary",
    "redo",
    "remove_selection",
    "rename_selection",
    "resume_training",
    "set_iso_sigma",
    "set_option",
    "start_demo",
    "start_training",
    "stop_training",
    "undo",
    "wait",
    "why_not_train",
]
