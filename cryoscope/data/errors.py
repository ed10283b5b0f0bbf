"""The one exception that a user is meant to read."""

from __future__ import annotations

from os import PathLike, fspath


class InputError(Exception):
    """Input that cannot be used, said in one line: file, row, problem, cure.

    Parameters
    ----------
    problem
        What is wrong, in the user's words.
    file
        The file it was found in.
    row
        1-based row of the table or image of the stack it was found in.
    cure
        What the user can do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: str | PathLike[str] | None = None,
        row: int | None = None,
        cure: str = "",
    ) -> None:
        self.problem, self.row, self.cure = problem, row, cure
        self.file = None if file is None else fspath(file)
        place = "" if self.file is None else self.file
        if row is not None:
            place += f", row {row}" if place else f"row {row}"
        text = f"{place}: {problem}" if place else problem
        super().__init__(" ".join((f"{text}. {cure}" if cure else text).split()))
