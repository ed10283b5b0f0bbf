from __future__ import annotations

import threading
from typing import Any

from psygnal import Signal

from cryoscope.app.background import NewestWins
from cryoscope.app.qt_bridge import QtBridge


class Events:
    level = Signal(object)
    notice = Signal(object)


class Source:
    def __init__(self) -> None:
        self.events, self.level, self.notice = Events(), 0, None

    def set(self, name: str, value: Any) -> None:
        setattr(self, name, value)
        getattr(self.events, name).emit(value)


def test_slots_run_on_the_main_thread_and_see_the_newest_value(qtbot: Any) -> None:
    source, seen, threads = Source(), [], []
    bridge = QtBridge(source)
    bridge.watch("level", lambda value: (seen.append(value), threads.append(threading.get_ident())))
    worker = threading.Thread(target=lambda: [source.set("level", i) for i in range(1, 1001)])
    worker.start()
    worker.join()
    qtbot.waitUntil(lambda: seen[-1] == 1000)
    assert seen[0] == 0
    assert len(seen) < 10
    assert set(threads) == {threading.get_ident()}


def test_every_notice_arrives_in_order(qtbot: Any) -> None:
    source, seen = Source(), []
    bridge = QtBridge(source)
    bridge.watch("notice", seen.append, every=True)
    for i in range(5):
        source.set("notice", i)
    qtbot.waitUntil(lambda: len(seen) == 6)
    assert seen == [None, 0, 1, 2, 3, 4]


def test_nothing_arrives_after_closing(qtbot: Any) -> None:
    source, seen = Source(), []
    bridge = QtBridge(source)
    bridge.watch("level", seen.append)
    source.set("level", 1)
    bridge.close()
    source.set("level", 2)
    qtbot.wait(120)
    assert seen == [0]


def test_background_work_is_dropped_for_newer_work(qtbot: Any) -> None:
    first_runs, go_on, answers = threading.Event(), threading.Event(), []
    worker = NewestWins()
    worker.answered.connect(answers.append)

    def slow() -> int:
        first_runs.set()
        go_on.wait(10)
        return 0

    worker.request(slow)
    assert first_runs.wait(10)
    for i in range(1, 50):
        worker.request(lambda i=i: i)
    go_on.set()
    qtbot.waitUntil(lambda: len(answers) == 2)
    assert answers == [0, 49]
    worker.close()


def test_an_error_in_the_background_is_raised_on_the_main_thread(qtbot: Any) -> None:
    worker = NewestWins()
    with qtbot.captureExceptions() as errors:
        worker.request(lambda: 1 // 0)
        qtbot.waitUntil(lambda: bool(errors))
    assert errors[0][0] is ZeroDivisionError
    worker.close()
