"""Everyday names of the loss terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """How a loss term is named and explained.

    Attributes
    ----------
    name
        In the legend of all losses.
    alone, sign
        Its name when shown alone, and what it is then multiplied by.
    help
        What it means.
    """

    name: str
    alone: str
    help: str
    sign: float = 1.0


IMAGE_FIT = "data"
TERMS = {
    IMAGE_FIT: Term(
        "image misfit",
        "image fit",
        "How much better the model explains an image than an empty one does: the log-likelihood "
        "gained. It rises while training improves, and levels off when it is done.",
        -1.0,
    ),
    "total": Term(
        "total",
        "total loss",
        "What training makes small: the image misfit plus all the other terms.",
    ),
    "kl": Term(
        "KL",
        "latent information (KL)",
        "How much the latents tell about a single particle (Kullback-Leibler divergence from the "
        "prior). It keeps the latent space compact.",
    ),
    "bonds": Term(
        "bonds", "bond strain", "Neighbouring residues that left their distance in the reference."
    ),
    "elastic": Term(
        "elastic",
        "elastic strain",
        "Nearby residues that changed their distance; what moves for good is set free.",
    ),
    "clash": Term("clash", "clashes", "Residues that came too close to each other."),
}


def term(key: str) -> Term:
    """The names of the loss term ``key``; of one that is not known, its key."""
    return TERMS.get(key, Term(key, key, f"The loss term {key!r} of the model."))
