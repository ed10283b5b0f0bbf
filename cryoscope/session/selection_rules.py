"""How a selection was made, as plain JSON, and which particles that holds: exact, all of them.

A rule is a dict with a ``kind``:

- ``lasso``, ``polygon``, ``rectangle``: ``polygon`` [[x, y], ...] by the even-odd rule;
- ``brush``: ``path`` [[x, y], ...] and ``radius`` [x, y];
- ``nearest``: ``xy`` and ``count``;
- ``range``: ``covariate``, ``low`` and ``high`` (null is no end, both ends belong to it);
- ``category``: ``covariate`` and ``category``, its name;
- ``selection``: ``name`` and ``made_by``, the rule of another selection;
- ``invert``: all other particles;
- ``combined``: ``steps``, rules each with a ``mode``.

The rules of the first three lines also say on which picture they were drawn: ``embedding`` (id),
``axes`` (labels), and for linear pictures ``centre`` and ``projection``, so that they can be
applied to later latents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryoscope.data import Embedding, InputError
from cryoscope.session.latent_records import Covariate

if TYPE_CHECKING:
    from cryoscope.session.state import Session

Rule = dict[str, Any]
GEOMETRIC = ("lasso", "polygon", "rectangle", "brush", "nearest")
MODES = ("new", "add", "subtract", "intersect")
_DEEPEST = 20


def drawn_on(rule: Rule, embedding: Embedding) -> Rule:
    """The rule together with the picture it was drawn on."""
    whole = {**rule, "axes": list(embedding.axis_labels), "embedding": embedding.embedding_id}
    if embedding.centre is not None and embedding.axes is not None:
        whole |= {
            "centre": embedding.centre.tolist(),
            "projection": embedding.axes.tolist(),
        }
    return whole


def rule_mask(session: Session, rule: Rule) -> NDArray[np.bool_]:
    """(N,) particles that a rule holds in the pictures and covariates of now.

    Raises
    ------
    InputError
        If there are no latents, or the rule makes no sense or needs what is not there.
    """
    kind = rule.get("kind")
    if kind in GEOMETRIC:
        embedding = session.embedding
        if embedding is None:
            raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
        return geometric_mask(embedding.xy, rule)
    if kind == "range":
        return _range_mask(session, rule)
    if kind == "category":
        return _category_mask(session, rule)
    raise InputError("it does not say how it was made, so that it cannot be made again")


def is_slow(session: Session, rule: Rule) -> bool:
    """Whether a rule may read files: by a covariate that is not the one on display."""
    if rule.get("kind") not in ("range", "category"):
        return False
    return _shown_covariate(session, str(rule.get("covariate"))) is None


def geometric_mask(xy: NDArray[np.floating], rule: Rule) -> NDArray[np.bool_]:
    """(N,) particles inside what was drawn on the (N, 2) picture ``xy``."""
    from cryoscope.analysis.brush import brush_mask, nearest_mask
    from cryoscope.analysis.lasso import polygon_mask

    try:
        match rule["kind"]:
            case "brush":
                radius = float(rule["radius"][0]), float(rule["radius"][1])
                return brush_mask(xy, np.asarray(rule["path"], dtype=np.float64), radius)
            case "nearest":
                return nearest_mask(xy, np.asarray(rule["xy"], np.float64), int(rule["count"]))
            case _:
                polygon = np.asarray(rule["polygon"], dtype=np.float64).reshape(-1, 2)
                if len(polygon) < 3:
                    return np.zeros(len(xy), dtype=np.bool_)
                return polygon_mask(xy, polygon)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"the {rule['kind']} makes no sense: {error}") from error


def replayed_mask(session: Session, rule: Rule, depth: int = 0) -> NDArray[np.bool_]:
    """(N,) particles that a rule holds in the latents of now, on the axes it was drawn on.

    Raises
    ------
    InputError
        If the picture it was drawn on is gone (a UMAP that is not shown), or as of
        :func:`rule_mask`.
    """
    if depth > _DEEPEST:
        raise InputError("the selection was made in too many steps to be repeated")
    kind = rule.get("kind")
    if kind == "combined":
        steps = rule.get("steps")
        if not isinstance(steps, list) or not steps:
            raise InputError("the selection does not say how it was made")
        mask = replayed_mask(session, steps[0], depth + 1)
        for step in steps[1:]:
            if step.get("kind") == "invert":
                mask = ~mask
            else:
                other = replayed_mask(session, step, depth + 1)
                mask = combined_mask(mask, other, str(step.get("mode")))
        return mask
    if kind == "selection":
        return replayed_mask(session, dict(rule.get("made_by") or {}), depth + 1)
    if kind in GEOMETRIC:
        return geometric_mask(_replayed_xy(session, rule), rule)
    return rule_mask(session, rule)


def combined_mask(old: NDArray[np.bool_], new: NDArray[np.bool_], mode: str) -> NDArray[np.bool_]:
    """The old particles with the new ones added, subtracted, or in common."""
    match mode:
        case "add":
            return old | new
        case "subtract":
            return old & ~new
        case "intersect":
            return old & new
    raise InputError(f"selections cannot be combined by {mode!r}")


def _replayed_xy(session: Session, rule: Rule) -> NDArray[np.floating]:
    from cryoscope.analysis.reduce import project

    latents, embedding = session.snapshot("latents", "embedding")
    if latents is None or embedding is None:
        raise InputError("there are no latents yet", cure="Train, or open a run folder, first.")
    if rule.get("embedding") == embedding.embedding_id:
        return np.asarray(embedding.xy)
    if rule.get("projection") is None:
        label = ", ".join(str(one) for one in rule.get("axes", [])) or "a picture"
        raise InputError(
            f"it was drawn on a picture ({label}) that is not the one shown",
            cure="Show that picture again; it cannot be made again from the latents.",
        )
    axes = np.asarray(rule["projection"], dtype=np.float64)
    centre = np.asarray(rule.get("centre"), dtype=np.float64)
    if axes.shape != (2, latents.z.shape[1]) or centre.shape != axes.shape[1:]:
        raise InputError("it was drawn on latents of another number of dimensions")
    return project(latents.z, centre, axes)


def _shown_covariate(session: Session, name: str) -> Covariate | None:
    shown, latents = session.snapshot("colouring", "latents")
    fits = shown is not None and latents is not None and len(shown.values) == len(latents)
    return shown if fits and shown.name == name else None


def _covariate(session: Session, rule: Rule) -> Covariate:
    from cryoscope.session.covariates import covariate

    name = str(rule.get("covariate"))
    shown = _shown_covariate(session, name)
    return covariate(session, name) if shown is None else shown


def _range_mask(session: Session, rule: Rule) -> NDArray[np.bool_]:
    from cryoscope.session.covariates import covariate_mask

    ends = [rule.get("low"), rule.get("high")]
    low, high = (None if end is None else float(end) for end in ends)
    return covariate_mask(_covariate(session, rule), low, high)


def _category_mask(session: Session, rule: Rule) -> NDArray[np.bool_]:
    found, name = _covariate(session, rule), rule.get("category")
    if name not in found.categories:
        raise InputError(
            f"{found.label} has no {name!r}", cure=f"It has {', '.join(found.categories)}."
        )
    mask: NDArray[np.bool_] = found.values == found.categories.index(name)
    return mask
