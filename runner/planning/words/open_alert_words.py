"""An open alert in words, and as the fields of a JSON line. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.timing.local_times import local_text

if TYPE_CHECKING:
    from runner.planning.alerts.alert import Alert


def alert_words(alert: Alert, zone: str) -> str:
    """Return what is wrong, how often and since when, and who silenced it."""
    words = f"{alert.check} since {local_text(alert.since, zone)}: {alert.message}"
    count = f" ({alert.count} times)" if alert.count > 1 else ""
    return f"{words}{count}{_silence(alert, zone)}"


def silence_words(alert: Alert, zone: str) -> str:
    """Return until when an alert is silent, and who asked for it; nothing if nobody did."""
    if alert.acknowledged_until is None:
        return ""
    return f"until {local_text(alert.acknowledged_until, zone)} by {alert.acknowledged_by}"


def alert_item(alert: Alert) -> dict[str, Any]:
    """Return an alert under the field names of the monitor record."""
    return {
        "request": alert.request,
        "check": alert.check,
        "since": alert.since,
        "count": alert.count,
        "execution": alert.execution,
        "message": alert.message,
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_until": alert.acknowledged_until,
    }


def _silence(alert: Alert, zone: str) -> str:
    silence = silence_words(alert, zone)
    return f", acknowledged {silence}" if silence else ""
