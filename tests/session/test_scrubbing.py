"""Coarse under a moving hand, finer when it rests; newest wins, nothing queued."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from psygnal import Signal

from cryoscope.data import Embedding, Latents
from cryoscope.session import RunStatus, RunView, Session, actions
from cryoscope.session.scrubbing import Boxes, Stage
from cryoscope.training.events import Decoded, DecodeFailed

FULL_PX, QUICK_PX = 40, 32


def test_boxes() -> None:
    boxes = Boxes(preview_px=48, full_px=128)
    assert boxes.moving_px == 32
    assert Boxes(128, 256).moving_px == 64
    assert Boxes(16, 16).moving_px == 16
    assert boxes.first(by_hand=True) is Stage.MOVING
    assert boxes.first(by_hand=False) is Stage.PREVIEW
    assert Boxes().first(by_hand=True) is Stage.PREVIEW
    assert [boxes.asked_px(stage) for stage in Stage] == [32, None, 0]
    assert boxes.after(Stage.MOVING, by_hand=True) is Stage.PREVIEW
    assert boxes.after(Stage.PREVIEW, by_hand=True) is Stage.FULL
    assert boxes.after(Stage.PREVIEW, by_hand=False) is None
    assert boxes.after(Stage.FULL, by_hand=True) is None
    assert Boxes(64, 64).after(Stage.PREVIEW, by_hand=True) is None
    assert Boxes().after(Stage.PREVIEW, by_hand=True) is None


class SlowRunner:
    """Answers requests when it is told to."""

    events = Signal(object)
    status, ready = RunStatus.FINISHED, True

    def __init__(self) -> None:
        self.asked: list[tuple[int, int | None, Path, np.ndarray]] = []
        self.sent: list[dict[str, Any]] = []

    def send(self, command: dict[str, Any]) -> None:
        self.sent.append(command)

    def decode(
        self, request_id: int, z: Any, *, volume: bool, path: Path, box_size_px: int | None = None
    ) -> None:
        self.asked.append((request_id, box_size_px, path, z))

    def shutdown(self, timeout_s: float = 5.0) -> None:
        """Nothing goes on."""

    def answer(self, session: Session) -> None:
        request_id, box_px, path, z = self.asked[-1]
        side = QUICK_PX if box_px is None else box_px or FULL_PX
        grid = np.indices((side,) * 3) - side // 2
        values = np.exp(-(grid**2).sum(0) / (side / 4) ** 2).astype(np.float32)
        boxes = {"full_box_px": FULL_PX, "preview_box_px": QUICK_PX}
        arrays = {"coords_A": np.zeros((1, 0, 3), np.float32), "z": z, "volume": values}
        np.savez(path, voxel_size_A=80.0 / side, **arrays, **boxes)
        session.decoder.answered(Decoded(request_id, str(path)))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[tuple[Session, SlowRunner]]:
    session, runner = Session(), SlowRunner()
    z = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    uid = np.arange(50).astype("U6")
    session.adopt(runner, None)  # type: ignore[arg-type]
    session.change(
        run=RunView(tmp_path, "a", RunStatus.FINISHED, ready=True),
        latents=Latents(z, None, uid, "a", 0),
        embedding=Embedding(z[:, :2].copy(), ("1", "2"), None, None, "e"),
    )
    yield session, runner
    actions.close(session)


def wait(condition: Callable[[], Any]) -> None:
    end_s = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def shows(session: Session, side: int) -> bool:
    shown = session.shown
    return shown is not None and shown.density is not None and len(shown.density.values) == side


def test_finer_while_the_hand_rests(scene: tuple[Session, SlowRunner]) -> None:
    session, runner = scene
    actions.move_cursor(session, (0.0, 0.0))
    wait(lambda: len(runner.asked) == 1)
    assert runner.asked[0][1] is None  # its boxes are not known yet
    runner.answer(session)
    wait(lambda: shows(session, QUICK_PX))
    assert session.shown.box_text == "32³ preview of 40³"
    wait(lambda: len(runner.asked) == 2)
    assert runner.asked[1][1] == 0
    runner.answer(session)
    wait(lambda: shows(session, FULL_PX))
    assert session.shown.box_text == "full 40³"
    actions.move_cursor(session, (1.0, 1.0))
    wait(lambda: len(runner.asked) == 3)
    runner.answer(session)
    wait(lambda: session.shown.box_text == "24³ coarse preview of 40³")
    wait(lambda: len(runner.asked) == 4)
    assert runner.asked[3][1] is None
    assert runner.sent == []


def test_a_newer_place_ends_the_full_box(scene: tuple[Session, SlowRunner]) -> None:
    session, runner = scene
    actions.move_cursor(session, (0.0, 0.0))
    wait(lambda: len(runner.asked) == 1)
    runner.answer(session)
    wait(lambda: len(runner.asked) == 2)  # the full box, which takes long
    actions.move_cursor(session, (1.0, 1.0))
    wait(lambda: len(runner.asked) == 3)
    assert runner.sent == [{"cmd": "forget", "request_id": runner.asked[1][0]}]
    assert runner.asked[2][1] == 24
    session.decoder.refused(DecodeFailed(runner.asked[1][0], "no longer asked for"))
    for place in range(20):
        actions.move_cursor(session, (place / 20, 0.0))
    time.sleep(0.1)
    assert len(runner.asked) == 3  # one is with the runner, one place waits
    runner.answer(session)
    wait(lambda: len(runner.asked) == 4)
    runner.answer(session)
    wait(lambda: len(runner.asked) == 5)
    assert runner.asked[4][1] is None


def test_a_live_refresh_asks_for_no_full_box(scene: tuple[Session, SlowRunner]) -> None:
    session, runner = scene
    session.cursor_xy = (0.0, 0.0)
    session.decoder.refresh()
    wait(lambda: len(runner.asked) == 1)
    runner.answer(session)
    wait(lambda: shows(session, QUICK_PX))
    time.sleep(0.8)
    assert len(runner.asked) == 1
