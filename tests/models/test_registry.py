from __future__ import annotations

import pytest
import torch

from cryoscope.data import InputError
from cryoscope.models import registry
from cryoscope.models.atomic_model import AtomicModel
from cryoscope.models.registry import make_model, register_model


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError, match=r"no model 'bead-gan'.*atomic"):
        make_model("bead-gan", None, None, torch.ones(1), None)  # type: ignore[arg-type]


def test_a_name_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    register_model("mine", AtomicModel)
    assert registry._MODELS["mine"] is AtomicModel
    with pytest.raises(ValueError, match="registered already"):
        register_model("mine", AtomicModel)
