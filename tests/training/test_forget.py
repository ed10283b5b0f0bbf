"""A map that nobody waits for any more is left half done."""

from __future__ import annotations

import queue
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cryoscope.data import Provenance, Volume
from cryoscope.training.engine import Engine


class SlowDecoder:
    """Makes a map of many pieces; something is asked for while it does."""

    epoch, bead_count, preview_box_px = 0, 0, 16
    optics = SimpleNamespace(box_size_px=32)

    def __init__(self) -> None:
        self.pieces = 0
        self.meanwhile: list[dict[str, Any]] = []
        self.engine: Any = None

    def coords_A(self, z: Any) -> Any:
        return np.zeros((len(z), 0, 3), dtype=np.float32)

    def volume(self, z: Any, box_size_px: int = 0, check: Any = None) -> Volume:
        for _ in range(5):
            self.pieces += 1
            for command in self.meanwhile:
                self.engine.submit(command)
            self.meanwhile = []
            check()
        values = np.zeros((box_size_px or 32,) * 3, dtype=np.float32)
        return Volume.centred(values, 1.0, Provenance("decoded"))


@pytest.mark.parametrize("forgotten", [1, 7])
def test_forget(tmp_path: Path, forgotten: int) -> None:
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    engine, decoder = Engine(events.put), SlowDecoder()
    decoder.engine, engine._decoder = engine, decoder  # type: ignore[assignment]
    ask = {"cmd": "decode", "z": [[0.0]], "volume": True, "box_size_px": 0}
    decoder.meanwhile = [
        {"cmd": "forget", "request_id": forgotten},
        {**ask, "request_id": 2, "box_size_px": 16, "path": str(tmp_path / "two.npz")},
        {"cmd": "quit"},
    ]
    engine.submit({**ask, "request_id": 1, "path": str(tmp_path / "one.npz")})
    engine.run_forever()
    said = [(event.kind, event.request_id) for event in (events.get(), events.get())]
    if forgotten == 1:
        assert said == [("decode_failed", 1), ("decoded", 2)]
        assert decoder.pieces == 6
        assert not (tmp_path / "one.npz").exists()
    else:
        assert said == [("decoded", 1), ("decoded", 2)]
    with np.load(tmp_path / "two.npz") as arrays:
        assert arrays["volume"].shape == (16, 16, 16)
        assert (arrays["full_box_px"], arrays["preview_box_px"]) == (32, 16)
