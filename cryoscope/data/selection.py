"""Named sets of particles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Selection:
    """A named set of particles.

    Attributes
    ----------
    mask
        (N,) True where the particle belongs; N is all particles, drawn or not.
    made_by
        How it was made, as plain JSON: ``{"kind": "lasso", "polygon": [[x, y], ...],
        "axes": ["PC1", "PC2"], "embedding": id, "centre": [...], "projection": [[...], [...]]}``;
        the last two where the picture is linear: ``xy = (z - centre) @ projection.T``. For all
        kinds see :mod:`cryoscope.session.selection_rules`, which makes a selection again from it.
    """

    name: str
    mask: NDArray[np.bool_]
    colour: str = "#ffb000"
    note: str = ""
    made_by: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.mask.sum())
