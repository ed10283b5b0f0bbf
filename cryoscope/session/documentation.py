"""The pages of the documentation as they are shipped: Markdown, readable without network."""

from __future__ import annotations

import re
from pathlib import Path

from cryoscope.io.resources import resource_path

FIRST_PAGE = "index.md"
_MARK = re.compile(r"^<!-- (?:generated|include): .+? -->$\n?", re.MULTILINE)
_MADE_FROM_CODE = {
    "commands.md": "# Commands\n\n`cryoscope --help` lists the commands, `cryoscope COMMAND "
    "--help` the options of each with units and defaults.\n",
    "settings.md": "# Settings\n\nEvery setting with its unit and default is under *Settings* and "
    "*Advanced settings* in the panel *Training* (rest the pointer on one), and in "
    "`cryoscope train --help`.\n",
}


def documentation_folder() -> Path:
    """Where the pages and their pictures lie.

    Raises
    ------
    InputError
        The installation lacks them.
    """
    return resource_path("docs")


def documentation_page(path: Path) -> str:
    """One page as Markdown; what the site takes from the code is named or left out.

    Parameters
    ----------
    path
        A page in `documentation_folder`.
    """
    if not path.is_file():
        missing = f"# Not here\n\nThere is no page `{path.name}` in this installation.\n"
        return _MADE_FROM_CODE.get(path.name, missing)
    return _MARK.sub("", path.read_text("utf-8"))
