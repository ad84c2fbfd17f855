"""A duration in words."""

from __future__ import annotations


def spell(seconds: float | None) -> str:
    """`40 s`, `12 min`, `3.5 h` or `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
