"""How far a node's clock may be off the database's. Pure."""

from __future__ import annotations

LEAST_WRONG_OFFSET_S = 60.0
"""Beyond this a node does not lead, in seconds: it would fire everything early or late."""
_REPORTED_OFFSET_S = 2.0


def clock_trouble(offset_s: float) -> str | None:
    """Return what is wrong with a clock that is off by so many seconds; None if nothing."""
    if abs(offset_s) <= _REPORTED_OFFSET_S:
        return None
    way = "behind" if offset_s > 0 else "ahead of"
    words = f"this machine's clock is {abs(offset_s):.1f} s {way} that of the database"
    if abs(offset_s) > LEAST_WRONG_OFFSET_S:
        return f"{words}: this node does not lead"
    return words
