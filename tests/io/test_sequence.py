from __future__ import annotations

import numpy as np

from cryoscope.io.sequence import one_letter_codes


def test_letters_of_protein_nucleic_acid_modified_and_unknown_residues() -> None:
    names = np.array(["ALA", "GLY", "MSE", "A", "DT", "U", "ZZZ9"])
    assert "".join(one_letter_codes(names)) == "AGMATU?"
    assert one_letter_codes(np.zeros(0, dtype="<U3")).shape == (0,)
