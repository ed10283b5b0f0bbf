"""One letter for every residue."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

UNKNOWN = "?"


def one_letter_codes(residue_names: NDArray[np.str_]) -> NDArray[np.str_]:
    """(n,) letters of (n,) residue names; of modified residues their parent's, ``?`` if unknown."""
    names = np.asarray(residue_names, dtype=np.str_)
    distinct, place = np.unique(names, return_inverse=True)
    letters = [_letter(str(name)) for name in distinct]
    return np.array(letters, dtype="<U1")[place] if len(letters) else np.zeros(0, dtype="<U1")


def _letter(name: str) -> str:
    code = gemmi.find_tabulated_residue(name.strip()).one_letter_code.strip()
    return code.upper() if code and code.isalpha() else UNKNOWN
