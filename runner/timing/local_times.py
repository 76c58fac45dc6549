"""Instants as wall time, for people. Pure."""

from __future__ import annotations

from datetime import datetime

from runner.timing.zones import zone_named


def local_text(instant: datetime | None, zone: str) -> str:
    """Return an instant as wall time in `zone` with its UTC offset, to the second; "-" for None."""
    if instant is None:
        return "-"
    return instant.astimezone(zone_named(zone)).isoformat(" ", "seconds")
