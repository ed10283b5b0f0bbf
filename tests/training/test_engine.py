"""What is asked of the engine while nothing trains: bad requests are answered, never fatal."""

from __future__ import annotations

import queue
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cryoscope.data import InputError, Provenance, Volume
from cryoscope.training import engine as engine_module
from cryoscope.training.engine import MOST_STATES, Engine


class Decoder:
    """Beads where the latents say, maps of zeros."""

    epoch, bead_count, preview_box_px, run_id = 3, 1, 16, "r"
    optics = SimpleNamespace(box_size_px=32)

    def coords_A(self, z: Any) -> Any:
        return np.repeat(z[:, None, :1], 3, axis=2)

    def volume(self, z: Any, box_size_px: int = 0, check: Any = None) -> Volume:
        check()
        values = np.zeros((box_size_px or 32,) * 3, dtype=np.float32)
        return Volume.centred(values, 1.0, Provenance("decoded"))


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Carries out commands and gives what was said, in order."""
    loaded: list[Any] = []

    def load(run: str, step: int | None = None) -> Decoder:
        if step == 99:
            raise InputError("no checkpoint of step 99", cure="Name one that is kept")
        loaded.append((run, step))
        return Decoder()

    monkeypatch.setattr(engine_module, "load_decoder", load)

    def ask(*commands: dict[str, Any]) -> list[Any]:
        said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        engine = Engine(said.put)
        for command in (*commands, {"cmd": "quit"}):
            engine.submit(command)
        engine.run_forever()
        return [said.get() for _ in range(said.qsize())]

    ask.loaded = loaded  # type: ignore[attr-defined]
    return ask


def decode(target: Path, **changed: Any) -> dict[str, Any]:
    asked = {"cmd": "decode", "request_id": 5, "z": [[0.5, 1.0]], "path": str(target)}
    return {name: value for name, value in {**asked, **changed}.items() if value is not ...}


SERVE = {"cmd": "serve", "run": "folder"}


def test_states_are_decoded_once_a_run_is_served(answers: Any, tmp_path: Path) -> None:
    target = tmp_path / "a.npz"
    early, served, late = answers(
        decode(target), SERVE, decode(tmp_path / "b.npz", volume=True, box_size_px=8)
    )[0:3]
    assert early.kind == "model_ready"  # what came too early waits for the model
    assert (served.kind, late.kind) == ("decoded", "decoded")
    with np.load(target) as arrays:
        np.testing.assert_allclose(arrays["coords_A"], np.full((1, 1, 3), 0.5))
        assert "volume" not in arrays
    with np.load(tmp_path / "b.npz") as arrays:
        assert arrays["volume"].shape == (8, 8, 8)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"z": "words"}, "not a decode request"),
        ({"path": ...}, "not a decode request"),
        ({"z": [[0.0, 0.0]] * (MOST_STATES + 1)}, "states asked for at once"),
        ({"volume": True, "box_size_px": 9}, "in a box of 9 px"),
        ({"volume": True, "box_size_px": 6}, "in a box of 6 px"),
        ({"volume": True, "box_size_px": 64}, "even number from 8 to 32"),
        ({"volume": True, "box_size_px": "8"}, "in a box of 8 px"),
        ({"step": "last"}, "'last' is no step"),
        ({"step": 99}, "no checkpoint of step 99"),
        ({"path": "/no/such/folder/a.npz"}, "no such folder|not there|/no/such/folder"),
    ],
)
def test_bad_requests_are_answered_and_the_next_is_served(
    answers: Any, tmp_path: Path, changed: dict[str, Any], problem: str
) -> None:
    target = tmp_path / "good.npz"
    ready, failed, done = answers(SERVE, decode(tmp_path / "bad.npz", **changed), decode(target))
    assert ready.kind == "model_ready"
    assert (failed.kind, failed.request_id) == ("decode_failed", 5)
    assert re.search(problem, failed.message)
    assert done.kind == "decoded"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.npz"]


def test_the_model_of_a_kept_checkpoint_is_loaded_once(answers: Any, tmp_path: Path) -> None:
    target = tmp_path / "a.npz"
    said = answers(SERVE, *[decode(target, step=7)] * 3, decode(target, step=8), decode(target))
    assert [event.kind for event in said] == ["model_ready", *["decoded"] * 5]
    assert answers.loaded == [("folder", None), ("folder", 7), ("folder", 8)]


def test_an_error_of_ours_is_told_and_not_the_end(
    answers: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = answers({"cmd": "serve"}, SERVE, decode(tmp_path / "a.npz"), {"cmd": "dance"})
    assert [event.kind for event in said] == ["run_failed", "model_ready", "decoded"]
    assert said[0].message.startswith("KeyError")
    assert "Traceback" in said[0].detail
    assert not said[0].user_error
    assert "KeyError" in capsys.readouterr().err
