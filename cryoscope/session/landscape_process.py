"""``python -m cryoscope.session.landscape_process RUN SETTINGS``: a landscape in its own process.

SETTINGS is the JSON of a :class:`cryoscope.session.landscape_records.LandscapeSettings`. Says what
it does as lines of JSON on standard output: ``{"progress": [stage, done, total]}``; or
``{"refused": {...}}`` and exit code 2 for input that cannot be used. Killed at any time it loses
little: the same call goes on after the last finished stage.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from cryoscope.data import InputError
from cryoscope.session.landscape_records import LandscapeSettings


def main(run: Path, settings: LandscapeSettings) -> int:
    """Make the landscape; the exit code."""
    if hasattr(os, "nice"):
        os.nice(5)  # the window and the training come first
    from cryoscope.session.landscape import landscape

    try:
        landscape(run, settings, progress=lambda *step: _say(progress=step))
    except InputError as error:
        file = None if error.file is None else str(error.file)
        _say(refused={"problem": error.problem, "file": file, "cure": error.cure})
        return 2
    return 0


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(Path(sys.argv[1]), LandscapeSettings(**json.loads(sys.argv[2]))))
