"""Electron scattering factors of elements (International Tables C, table 4.3.2.2)."""

from __future__ import annotations

from os import PathLike

import gemmi
import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure


def scattering_tables(
    structure: Structure, *, file: str | PathLike[str] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Five-Gaussian coefficients of the elements of a structure, as tabulated by gemmi.

    Returns
    -------
    (n,) element type of every atom, and the coefficients ``a`` in A and ``b`` in A^2, each
    (types, 5), see :func:`cryoscope.physics.atoms.form_factors`.

    Raises
    ------
    InputError
        An element is unknown; ``file`` is named.
    """
    names, kind = np.unique(structure.element, return_inverse=True)
    a_A, b_A2 = [], []
    for name in names:
        element = gemmi.Element(str(name))
        coefficients = element.c4322
        if element.atomic_number == 0 or coefficients is None:  # gemmi takes X for oxygen
            raise InputError(
                f"no scattering factor is known for element {str(name)!r}",
                file=file,
                cure="Correct the element column of the model",
            )
        a_A.append(coefficients.a)
        b_A2.append(coefficients.b)
    return kind.astype(np.int64), np.array(a_A, np.float32), np.array(b_A2, np.float32)
