"""The log of a run's events: JSON lines that survive a kill at any moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cryoscope.data import InputError
from cryoscope.io.atomic import explain_os_errors, write_text_atomic
from cryoscope.io.json_file import plain

LINE_LIMIT_BYTES = 4 * 1024**2


class EventLog:
    """Events of one run, one JSON object a line, oldest first.

    A kill in mid-write leaves a last line without its newline; readers leave it out and the next
    :meth:`append` removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event and hand it to the operating system at once."""
        line = json.dumps(dict(event), separators=(",", ":"), default=plain) + "\n"
        with explain_os_errors(self.path):
            if self._file is None:
                self._file = _open_at_last_newline(self.path)
            try:
                rest = memoryview(line.encode())
                while rest:  # a full disk first takes a part, then refuses
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self.close()  # so that the next append first removes what was half written
                raise

    def read(self) -> list[dict[str, Any]]:
        """All whole events."""
        return self.read_from(0)[0]

    def read_from(self, offset_bytes: int) -> tuple[list[dict[str, Any]], int]:
        """Whole events after ``offset_bytes``, and the offset to go on from next time.

        Raises
        ------
        InputError
            If a line other than an unfinished last one is not a JSON object.
        """
        if not self.path.exists():
            return [], 0
        events: list[dict[str, Any]] = []
        with explain_os_errors(self.path, action="read"), self.path.open("rb") as file:
            file.seek(offset_bytes)
            while line := file.readline(LINE_LIMIT_BYTES):
                if not line.endswith(b"\n"):
                    if len(line) == LINE_LIMIT_BYTES:
                        raise self._broken(len(events) + 1, "the line is too long")
                    break
                events.append(self._parse(line, len(events) + 1))
                offset_bytes += len(line)
        return events, offset_bytes

    def truncate_after(self, step: int) -> None:
        """Drop the events whose ``"step"`` is greater than ``step`` (atomic rewrite)."""
        kept = [event for event in self.read() if event.get("step", 0) <= step]
        self.close()
        lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in kept]
        write_text_atomic(self.path, "".join(lines))

    def close(self) -> None:
        """Close the file; the next append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _parse(self, line: bytes, row: int) -> dict[str, Any]:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._broken(row, "the line is not readable as JSON") from error
        if not isinstance(event, dict) or not isinstance(event.get("step", 0), int):
            raise self._broken(row, "the line is not an event")
        return event

    def _broken(self, row: int, problem: str) -> InputError:
        return InputError(problem, file=self.path, row=row, cure="Delete that line.")


def _open_at_last_newline(path: Path) -> BinaryIO:
    """Open for appending without buffer, after cutting off an unfinished last line."""
    file = path.open("r+b" if path.exists() else "w+b", buffering=0)
    position = file.seek(0, 2)
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    file.truncate(position)
    file.seek(position)
    return file
