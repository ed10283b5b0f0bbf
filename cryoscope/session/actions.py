"""The verbs: everything that a window, a script or a notebook can do to a session.

No verb waits (but ``wait`` and ``close``): slow work goes on in the background and shows in
``session.jobs``. No verb raises for bad input: it is reported in ``session.notice``.
"""

from __future__ import annotations

from cryoscope.session.associating import axis_cautions
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
from cryoscope.session.exporting import export_selection, export_table, export_trajectory
from cryoscope.session.forms import FormField, form_fields
from cryoscope.session.importing import import_selection
from cryoscope.session.journal import is_verb, recorded
from cryoscope.session.keeping import (
    arrange_states,
    colour_surface,
    draw_backbone_as,
    keep_state,
    recolour_kept,
    remove_kept,
    rename_kept,
    show_kept,
)
from cryoscope.session.landscape_making import (
    LANDSCAPE_JOB,
    largest_volume_px,
    make_landscape,
    suggested_sketch,
    why_no_landscape,
)
from cryoscope.session.landscape_view import (
    select_landscape_states,
    show_landscape_state,
    shown_landscape_state,
)
from cryoscope.session.latent_views import view_axes, view_latents
from cryoscope.session.logbook import clear_log, log_as_script, save_log
from cryoscope.session.opening import open_files, open_run
from cryoscope.session.particle_card import particle_at
from cryoscope.session.particle_columns import STAR_COLUMNS
from cryoscope.session.path_export import export_path
from cryoscope.session.projects import (
    keep_window,
    new_project,
    open_project,
    save_project,
)
from cryoscope.session.recent_projects import forget_recent, list_recent
from cryoscope.session.residues import (
    colour_backbone,
    export_residues,
    mark_residue,
    measure_motion,
)
from cryoscope.session.run_clones import clone_run, setting_changes
from cryoscope.session.run_compare import (
    add_compared_runs,
    show_compared_latents,
    sibling_runs,
    stop_comparing,
)
from cryoscope.session.run_control import (
    cancel_job,
    checkpoint_training,
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
from cryoscope.session.run_epochs import show_epoch
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
from cryoscope.session.waiting import why_no_latents, why_no_state, why_not_decode
from cryoscope.training.presets import preset_names, preset_summary

__all__ = [
    "CHECK_JOB",
    "FormField",
    "LANDSCAPE_JOB",
    "STAR_COLUMNS",
    "activate_path",
    "add_compared_runs",
    "activate_selection",
    "add_way_point",
    "arrange_states",
    "axis_cautions",
    "cancel_job",
    "checkpoint_training",
    "choose_preset",
    "clear_log",
    "clear_marks",
    "clone_run",
    "close",
    "cluster_particles",
    "colour_backbone",
    "colour_by",
    "colour_surface",
    "combine_selections",
    "count_lasso",
    "count_rule",
    "covariate_choices",
    "draw_backbone_as",
    "export_path",
    "export_residues",
    "export_selection",
    "export_table",
    "export_trajectory",
    "forget_recent",
    "form_fields",
    "hold_contour",
    "import_selection",
    "invert_selection",
    "keep_state",
    "keep_window",
    "largest_volume_px",
    "lasso",
    "list_recent",
    "log_as_script",
    "make_landscape",
    "make_path",
    "mark_particle",
    "mark_residue",
    "measure_motion",
    "move_cursor",
    "move_way_point",
    "new_project",
    "note_selection",
    "open_files",
    "open_project",
    "open_run",
    "particle_at",
    "pause_training",
    "preset_names",
    "preset_summary",
    "recolour_kept",
    "recolour_selection",
    "reconstruct_selection",
    "redo",
    "refresh_path",
    "remove_kept",
    "remove_path",
    "remove_selection",
    "remove_way_point",
    "rename_kept",
    "rename_path",
    "rename_selection",
    "reorder_way_points",
    "replay_selection",
    "resume_training",
    "save_log",
    "save_project",
    "select",
    "select_landscape_states",
    "set_contour",
    "set_iso_sigma",
    "set_option",
    "set_path_frames",
    "setting_changes",
    "show_compared_latents",
    "show_epoch",
    "sibling_runs",
    "stop_comparing",
    "show_checked",
    "show_frame",
    "show_kept",
    "show_landscape_state",
    "shown_landscape_state",
    "shown_contour",
    "slide_contour",
    "start_demo",
    "start_training",
    "stop_training",
    "suggested_sketch",
    "undo",
    "view_axes",
    "view_latents",
    "wait",
    "why_no_landscape",
    "why_no_latents",
    "why_no_state",
    "why_not_decode",
    "why_not_train",
]

# Every verb goes through here: what a window or a script asks for is noted as it is asked.
for _name in dict.fromkeys(__all__):
    if is_verb(globals()[_name]):
        globals()[_name] = recorded(globals()[_name])
