"""What others ask of a run that is being trained, left as empty files in its folder.

A request is one file in ``requests/`` whose name says when it was made and what is asked for
(``1763740000000000000-5f0c2a-pause``). Whoever trains looks there between steps, removes it and
does it: any program, on any machine that sees the folder, can ask.
"""

from __future__ import annotations

import re
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from cryoscope.io.atomic import explain_os_errors

Request = Literal["pause", "resume", "checkpoint", "stop"]
REQUESTS: tuple[str, ...] = get_args(Request)
_FOLDER = "requests"
_NAME = re.compile(rf"\d{{19}}-[0-9a-f]{{6}}-({'|'.join(REQUESTS)})")


def leave_request(run: Path, request: Request) -> Path:
    """Ask the trainer of a run folder for something.

    Returns
    -------
    The file, which is gone as soon as the trainer has seen it.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    path = run / _FOLDER / f"{time.time_ns():019d}-{uuid.uuid4().hex[:6]}-{request}"
    with explain_os_errors(path):
        path.parent.mkdir(exist_ok=True)
        path.touch(exist_ok=False)
    return path


def take_requests(run: Path) -> list[Request]:
    """What was asked for since the last look, in order; it is not asked for any more then."""
    folder, taken = run / _FOLDER, []
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:  # nobody has asked yet
        return []
    for name in names:
        if match := _NAME.fullmatch(name):
            with suppress(FileNotFoundError):
                (folder / name).unlink()
                taken.append(match[1])
    return taken  # type: ignore[return-value]
