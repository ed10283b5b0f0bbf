"""Where the ticks of an axis stand, and what is written beside them."""

from __future__ import annotations

import math


def nice_ticks(low: float, high: float, count: int = 5) -> list[tuple[float, str]]:
    """About ``count`` round positions in ``low..high`` with their texts."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return []
    rough = span / max(count, 1)
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= rough * 0.5)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, _number(i * step, digits)) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 6) -> list[tuple[float, str]]:
    """Ticks of a logarithmic axis; ``low``, ``high`` and the ticks are base-10 logarithms."""
    if not high > low:
        return []
    decades = range(math.floor(low), math.ceil(high) + 1)
    stride = max(1, math.ceil((high - low) / count))
    factors = (1, 2, 5) if high - low < 1.8 else (1,)
    ticks = [
        (decade + math.log10(factor), factor, decade)
        for decade in decades
        if decade % stride == 0
        for factor in factors
    ]
    return [(at, _power(factor, decade)) for at, factor, decade in ticks if low <= at <= high]


def _number(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.0e}"
    return f"{value:,.{digits}f}".replace("-", "−")


def _power(factor: int, decade: int) -> str:
    if -3 <= decade <= 4:
        return f"{factor * 10.0**decade:,.{max(0, -decade)}f}"
    raised = str(decade).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if factor == 1 else f"{factor}·10{raised}"
