"""Mixtures of complexes that lack a subunit, a domain or several."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import InputError, Structure
from cryoscope.io.json_file import read_json_object

_PART = re.compile(r"(?P<chain>[^:\s]+)(:(?P<first>-?\d+)(-(?P<last>-?\d+))?)?")
_MOST = 1000
_FORM = (
    '{"states": [{"name": "whole", "share": 2}, {"name": "no lid", "share": 1, '
    '"without": ["A:122-159", "B"]}]}'
)


@dataclass(frozen=True)
class Composition:
    """One state of a mixture.

    Attributes
    ----------
    name
        Of the state.
    share
        Of the particles, relative to the other states' shares.
    without
        What is missing: ``CHAIN``, ``CHAIN:RESIDUE`` or ``CHAIN:FIRST-LAST``; ``*`` is every chain.
    """

    name: str
    share: float = 1.0
    without: tuple[str, ...] = ()


def check_compositions(compositions: Sequence[Composition]) -> None:
    """Raise :class:`InputError` for names, shares or parts that make no sense."""
    names = [composition.name for composition in compositions]
    if len(set(names)) != len(names) or not all(names):
        raise InputError(
            f"compositions are named {names}", cure="Give every composition a name of its own"
        )
    if len(compositions) > _MOST:
        raise InputError(f"{len(compositions)} compositions", cure=f"Give at most {_MOST}")
    for composition in compositions:
        if not (math.isfinite(composition.share) and composition.share > 0):
            raise InputError(
                f"composition {composition.name!r} has the share {composition.share:g}",
                cure="Give a share above 0",
            )
        for part in composition.without:
            _parsed(part)


def _parsed(part: str) -> re.Match[str]:
    match = _PART.fullmatch(part)
    if match is None:
        raise InputError(
            f"{part!r} names no part of a structure",
            cure="Write CHAIN, CHAIN:RESIDUE or CHAIN:FIRST-LAST, e.g. A:122-159",
        )
    return match


def present_atoms(structure: Structure, compositions: Sequence[Composition]) -> NDArray[np.bool_]:
    """(states, n) which atoms each composition has; one state with all of them for none.

    Raises
    ------
    InputError
        A part is not in the structure, or nothing is left of it.
    """
    present = np.ones((max(len(compositions), 1), len(structure)), dtype=np.bool_)
    carbons = structure.alpha_carbons()
    for row, composition in zip(present, compositions, strict=False):
        for part in composition.without:
            missing = _atoms_of(structure, part)
            if not missing.any():
                chains = ", ".join(dict.fromkeys(structure.chain_id.tolist()))
                raise InputError(
                    f"composition {composition.name!r} leaves out {part}, which is not there",
                    cure=f"Name residues of the chains {chains}",
                )
            row[missing] = False
        if not row[carbons].any():
            raise InputError(
                f"composition {composition.name!r} leaves nothing of the structure",
                cure="Leave out less",
            )
    return present


def _atoms_of(structure: Structure, part: str) -> NDArray[np.bool_]:
    match = _parsed(part)
    chain, first, last = match["chain"], match["first"], match["last"]
    atoms = np.ones(len(structure), bool) if chain == "*" else structure.chain_id == chain
    if first is None:
        return atoms
    end = int(first if last is None else last)
    return atoms & (structure.residue_id >= int(first)) & (structure.residue_id <= end)


def read_compositions(path: Path) -> tuple[Composition, ...]:
    """Read compositions from JSON: ``{"states": [{"name": ..., "share": ..., "without": [...]}]}``.

    Raises
    ------
    InputError
        The file is missing, is not of that form, or makes no sense.
    """
    states = read_json_object(path).get("states")
    if not isinstance(states, list) or not states:
        raise InputError("no list of states", file=path, cure=f"Write e.g. {_FORM}")
    compositions = tuple(_composition(state, row, path) for row, state in enumerate(states, 1))
    try:
        check_compositions(compositions)
    except InputError as error:
        raise InputError(error.problem, file=path, cure=error.cure) from error
    return compositions


def _composition(state: Any, row: int, path: Path) -> Composition:
    values = state if isinstance(state, dict) else {}
    name, share = values.get("name"), values.get("share", 1.0)
    without = values.get("without", [])
    fits = (
        isinstance(name, str)
        and isinstance(share, int | float)
        and not isinstance(share, bool)
        and isinstance(without, list)
        and all(isinstance(part, str) for part in without)
        and not set(values) - {"name", "share", "without"}
    )
    if not fits:
        raise InputError("not a composition", file=path, row=row, cure=f"Write e.g. {_FORM}")
    return Composition(str(name), float(share), tuple(without))
