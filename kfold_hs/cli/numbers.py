"""Numbers and intervals as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> str:
    """Three decimals, none above 100; "-" for nothing."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:z.3f}"


def interval(found: Mapping[str, Any]) -> str:
    """``low to high``, with as many digits as its width takes, or that it cannot be told."""
    low, high = found["low"], found["high"]
    if low is None or high is None or not low < high:  # earlier versions wrote some of no width
        return "cannot be told"
    if max(abs(low), abs(high)) >= 100:
        return f"{low:,.0f} to {high:,.0f}"
    shown = number(low), number(high)
    if shown[0] == shown[1]:  # three decimals would hide a width that is there
        shown = f"{low:.2g}", f"{high:.2g}"
    return f"{shown[0]} to {shown[1]}"
