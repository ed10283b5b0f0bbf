"""The files that Cryoscope ships: demo structures, icons, colour maps."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from cryoscope.data import InputError

_PACKAGE = Path(__file__).resolve().parents[1]


def resource_path(name: str) -> Path:
    """Where a shipped file lies.

    A checkout (also one installed with ``pip install -e``) keeps the files in ``resources/`` beside
    the package; a wheel carries the same tree as ``cryoscope_resources/`` beside it.

    Parameters
    ----------
    name
        Path below the resources folder with forward slashes, e.g. ``"structures/1ake_A.pdb"``;
        ``""`` is the folder itself.

    Raises
    ------
    InputError
        The installation lacks the file.
    """
    for root in _roots():
        path = root / name
        if path.exists():
            return path
    raise InputError(
        "this file of Cryoscope is missing", file=name, cure="Install Cryoscope again."
    )


def _roots() -> list[Path]:
    checkout = _PACKAGE.parent
    # Without the second test, some other project's site-packages/resources would do.
    roots = [checkout / "resources"] if (checkout / "pyproject.toml").is_file() else []
    spec = find_spec("cryoscope_resources")
    if spec is not None and spec.submodule_search_locations:
        roots.extend(Path(place) for place in spec.submodule_search_locations)
    return roots
