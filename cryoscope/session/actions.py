"""The verbs: everything that a window, a script or a notebook can do to a session.

No verb waits (but ``wait`` and ``close``): slow work goes on in the background and shows in
``session.jobs``. No verb raises for bad input: it is reported in ``session.notice``.
"""

from __future__ import annotations

from cryoscope.session.checking import CHECK_JOB, reconstruct_selection, show_checked
from cryoscope.session.contouring import (
    hold_contour,
    set_contour,
    set_iso_sigma,
    shown_contour,
    slide_contour,
)
from cryoscope.session.covariates import cluster_particles, colour_by, covariate_choices
from cryoscope.session.demo import start_demo
from cryoscope.session.exporting import export_selection, export_trajectory
from cryoscope.session.forms import FormField, form_fields
from cryoscope.session.latent_views import view_axes, view_latents
from cryoscope.session.opening import open_files, open_run
from cryoscope.session.particle_card import particle_at
from cryoscope.session.path_export import export_path
from cryoscope.session.residues import (
    colour_backbone,
    export_residues,
    mark_residue,
    measure_motion,
)
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
    count_rule,
    lasso,
    move_cursor,
    redo,
    remove_selection,
    rename_selection,
    select,
    undo,
)
from cryoscope.session.selection_edits import (
    combine_selections,
    invert_selection,
    note_selection,
    recolour_selection,
    replay_selection,
)
from cryoscope.session.trajectories import (
    activate_path,
    add_way_point,
    clear_marks,
    make_path,
    mark_particle,
    move_way_point,
    refresh_path,
    remove_path,
    remove_way_point,
    rename_path,
    reorder_way_points,
    set_path_frames,
    show_frame,
)
from cryoscope.training.presets import preset_names, preset_summary

__all__ = [
    "CHECK_JOB",
    "FormField",
    "activate_path",
    "activate_selection",
    "add_way_point",
    "cancel_job",
    "choose_preset",
    "clear_marks",
    "close",
    "cluster_particles",
    "colour_backbone",
    "colour_by",
    "combine_selections",
    "count_lasso",
    "count_rule",
    "covariate_choices",
    "export_path",
    "export_residues",
    "export_selection",
    "export_trajectory",
    "form_fields",
    "hold_contour",
    "invert_selection",
    "lasso",
    "make_path",
    "mark_particle",
    "mark_residue",
    "measure_motion",
    "move_cursor",
    "move_way_point",
    "note_selection",
    "open_files",
    "open_run",
    "particle_at",
    "pause_training",
    "preset_names",
    "preset_summary",
    "recolour_selection",
    "reconstruct_selection",
    "redo",
    "refresh_path",
    "remove_path",
    "remove_selection",
    "remove_way_point",
    "rename_path",
    "rename_selection",
    "reorder_way_points",
    "replay_selection",
    "resume_training",
    "select",
    "set_contour",
    "set_iso_sigma",
    "set_option",
    "set_path_frames",
    "show_checked",
    "show_frame",
    "shown_contour",
    "slide_contour",
    "start_demo",
    "start_training",
    "stop_training",
    "undo",
    "view_axes",
    "view_latents",
    "wait",
    "why_not_train",
]
