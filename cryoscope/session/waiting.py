"""What is not there (yet), and why: one line for whoever looks at the place where it would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoscope.session.records import RunStatus
from cryoscope.session.run_epochs import epoch_decodes

if TYPE_CHECKING:
    from cryoscope.session.state import Session

MODEL_LOADS = "The state at the cursor appears here as soon as the model is loaded"
FIRST_LATENTS = "Waiting for the first latents of the run…"


def why_no_state(session: Session) -> str:
    """Why the 3-D view shows nothing; empty where it shows something, or nothing is open."""
    run, shown = session.snapshot("run", "shown")
    if run is None or shown is not None:
        return ""
    return f"No state can be shown: {run.model_problem}" if run.model_problem else MODEL_LOADS


def why_no_latents(session: Session) -> str:
    """Why there are no latents; empty where there are, or no run is open."""
    run, embedding = session.snapshot("run", "embedding")
    if run is None or embedding is not None:
        return ""
    if run.status.active:
        return FIRST_LATENTS
    if run.status is RunStatus.FAILED:
        return f"No latents: {run.message}"
    return "No latents: the run ended before its first were saved"


def why_not_decode(session: Session) -> str:
    """Why no other state can be decoded; empty where one can."""
    run = session.run
    if run is None:
        return "Available while a run trains, or after opening one"
    if run.ready:
        return ""
    if not epoch_decodes(session):
        return "The checkpoint of the epoch that is shown is not kept"
    if run.model_problem:
        return f"No state can be decoded: {run.model_problem}"
    return "Available as soon as the model is loaded"
