"""The training process: commands as JSON lines on stdin, events as JSON lines on stdout.

The end of stdin (the window is gone) stops training with a checkpoint and ends the process. What
anything else prints goes to stderr, so that it cannot corrupt the protocol.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from cryoscope.training.events import TrainEvent, event_to_json

#: Longest command line read; a million latents of 8 dimensions need less.
LONGEST_LINE = 256 * 1024**2


def main() -> int:
    """Serve one parent until it goes."""
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr
    os.dup2(sys.stderr.fileno(), 1)
    from cryoscope.training.engine import Engine  # torch comes with it

    engine = Engine(_publisher(protocol))
    reader = threading.Thread(target=_read_commands, args=(engine.submit,), daemon=True)
    reader.start()
    with contextlib.suppress(KeyboardInterrupt):
        engine.run_forever()
    return 0


def _publisher(protocol: TextIO) -> Callable[[TrainEvent], None]:
    lock = threading.Lock()

    def publish(event: TrainEvent) -> None:
        line = json.dumps(event_to_json(event)) + "\n"
        # A parent that died takes nothing more; training ends by the end of stdin.
        with lock, contextlib.suppress(OSError, ValueError):
            protocol.write(line)
            protocol.flush()

    return publish


def _read_commands(submit: Callable[[dict[str, Any]], None]) -> None:
    while line := sys.stdin.readline(LONGEST_LINE):
        try:
            command = json.loads(line)
        except json.JSONDecodeError as error:
            print(f"not a command: {error}", file=sys.stderr, flush=True)
            continue
        if isinstance(command, dict):
            submit(command)
    submit({"cmd": "quit"})


if __name__ == "__main__":
    raise SystemExit(main())
