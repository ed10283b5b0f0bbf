"""``python -m cryoscope.session.umap_process FOLDER``: a UMAP picture in a process of its own.

Reads ``z.npy`` and, where there is one, ``start.npy`` (the picture to start from); writes
``xy.npy`` and ``id.txt``. Ends with one line on standard error and exit code 2 on bad input.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

from cryoscope.analysis.reduce import umap_embedding
from cryoscope.data import InputError


def main(folder: Path) -> int:
    """Make the picture; the exit code."""
    start = folder / "start.npy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = umap_embedding(
                np.load(folder / "z.npy", allow_pickle=False),
                start_xy=np.load(start, allow_pickle=False) if start.is_file() else None,
            )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    np.save(folder / "xy.npy", made.xy)
    (folder / "id.txt").write_text(made.embedding_id, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
