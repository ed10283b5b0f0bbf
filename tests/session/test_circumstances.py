from __future__ import annotations

import pytest

from cryoscope.session.circumstances import circumstances
from cryoscope.training.events import RunStarted


@pytest.mark.parametrize(
    ("device", "contrast", "config", "threads", "device_text", "contrast_text"),
    [
        ("cpu", 1, {"data": {"contrast": "auto"}}, 1, "CPU, 1 thread", "protein bright, detected"),
        ("cpu", -1, {"data": {"contrast": "dark"}}, 0, "CPU", "protein dark, as set"),
        ("cpu", 1, {"threads": 4}, 1, "CPU, 4 threads", "protein bright, detected"),
        ("cuda:0", 1, {"data": None}, 1, "GPU:0", "protein bright, detected"),
    ],
)
def test_where_a_run_trains_and_what_it_found(
    device: str,
    contrast: int,
    config: dict[str, object],
    threads: int,
    device_text: str,
    contrast_text: str,
) -> None:
    event = RunStarted("run", 10, 5, 100, 0, device, contrast, 64, 1.6)
    texts = circumstances(event, config, threads)
    assert texts == {"device_text": device_text, "contrast_text": contrast_text}
