"""Where a run trains, and what it found in the images, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryoscope.training.events import RunStarted


def circumstances(event: RunStarted, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """The texts of a :class:`~cryoscope.session.records.RunView` on how it trains.

    Parameters
    ----------
    config
        The run's configuration, as plain JSON.
    threads
        CPU threads of the trainer, unless the configuration sets them; 0 where unknown.
    """
    data = config.get("data")
    asked = data.get("contrast", "auto") if isinstance(data, Mapping) else "auto"
    return {
        "device_text": _device_text(event.device, _count(config.get("threads")) or threads),
        "contrast_text": f"protein {'bright' if event.contrast > 0 else 'dark'}, "
        f"{'detected' if asked == 'auto' else 'as set'}",
    }


def _device_text(device: str, threads: int) -> str:
    if not device.startswith("cpu"):
        return device.replace("cuda", "GPU")
    if threads <= 0:
        return "CPU"
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}"


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0
