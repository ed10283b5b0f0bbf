"""Particles coloured and chosen by the landscape of the run: its states, its components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoscope.data import InputError, Latents
from cryoscope.session.covariates import (
    MOST_CATEGORIES,
    STATE_COVARIATE,
    VOLUME_COVARIATE,
    Values,
)

if TYPE_CHECKING:
    from cryoscope.session.state import Session

_LABEL = "Landscape state"


def landscape_choices(session: Session, latent_why: str) -> list[tuple[str, str, str]]:
    """Name, label, and why not now, of what a landscape knows of every particle."""
    found = session.landscape
    if found is None:
        return [(STATE_COVARIATE, _LABEL, latent_why or "the run has no landscape yet")]
    rows = [(STATE_COVARIATE, _LABEL, latent_why)]
    for number in range(1, found.scores.shape[1] + 1):
        rows.append((f"{VOLUME_COVARIATE}{number}", f"Volume PC{number}", latent_why))
    return rows


def landscape_values(session: Session, latents: Latents, name: str) -> Values:
    """The values of one of them.

    Raises
    ------
    InputError
        If the landscape is of other particles, or none.
    """
    found = session.landscape
    if found is None or len(found.particle_state) != len(latents):
        raise InputError(
            "the run has no landscape of these particles", cure="Make it in the panel Landscape."
        )
    if name.startswith(VOLUME_COVARIATE):
        number = int(name.removeprefix(VOLUME_COVARIATE))
        return Values(f"Volume PC{number}", "", found.scores[:, number - 1])
    values = np.where(found.particle_state >= 0, found.particle_state, np.nan)
    if len(found.states) > MOST_CATEGORIES:
        return Values(_LABEL, "number", values + 1)
    return Values(_LABEL, "", values, "discrete", tuple(one.name for one in found.states))
