"""How many cases hypothesis makes up: few in the suite, thousands where they are asked for.

``CRYOSCOPE_EXAMPLES=5000 pytest -o timeout=0 tests/io/test_round_trips.py``
"""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """`usual`, or more where the environment variable CRYOSCOPE_EXAMPLES says so."""
    return max(usual, int(os.getenv("CRYOSCOPE_EXAMPLES") or 0))
