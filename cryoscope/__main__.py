"""``python -m cryoscope`` is the command ``cryoscope``."""

from __future__ import annotations

from cryoscope.cli import main

if __name__ == "__main__":
    main()
